"""`ak apply_blueprint PATH …`"""

from django.core.management.base import BaseCommand, CommandError
from pydantic import ValidationError
from yaml import YAMLError

from authentik.blueprints.importer import apply_file


class Command(BaseCommand):
    """Apply blueprints, here and now"""

    help = __doc__

    def add_arguments(self, parser) -> None:
        parser.add_argument("paths", nargs="+", metavar="PATH")

    def handle(self, *args, **options) -> None:
        for path in options["paths"]:
            try:
                apply_file(path)
            except (OSError, ValueError, YAMLError, ValidationError) as exc:
                raise CommandError(f"{path}: {exc}") from exc
