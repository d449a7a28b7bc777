#!/usr/bin/env python
"""Django's management commands; `python -m manage COMMAND`, with the root of the application as working directory"""

import os
import sys
import warnings

# drf-spectacular and others warn on import; a user of the command line can do nothing about it.
warnings.filterwarnings("ignore", category=DeprecationWarning)


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "authentik.root.settings")
    from django.core.management import execute_from_command_line

    # Whatever starts first brings the database up to date.
    if len(sys.argv) > 1 and sys.argv[1] in ("worker", "apply_blueprint"):
        from lifecycle.migrate import run_migrations

        run_migrations()
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
