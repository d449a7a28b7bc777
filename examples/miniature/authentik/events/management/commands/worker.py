"""`ak worker`"""

import os
import signal
from pathlib import Path
from tempfile import gettempdir
from time import time

from django.core.management.base import BaseCommand
from django_postgres_queue.worker import Worker, worker_threads
from setproctitle import setproctitle
from structlog.stdlib import get_logger

from authentik import authentik_full_version
from authentik.blueprints.tasks import blueprints_discovery
from authentik.core.tasks import clean_tokens

LOGGER = get_logger()


def write(path: Path, text: str) -> None:
    """At once: whoever reads it never sees a part."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


class Command(BaseCommand):
    """Run tasks until SIGTERM or SIGINT.

    `authentik healthcheck worker` reads two files: that of --pid-file, and authentik-worker.heartbeat beside it, which is
    written every few seconds and holds the time in seconds since 1970.
    """

    help = __doc__

    def add_arguments(self, parser) -> None:
        default = Path(gettempdir()) / "authentik-worker.pid"
        parser.add_argument("--pid-file", type=Path, default=default)

    def handle(self, *args, pid_file: Path, **options) -> None:
        heartbeat = pid_file.with_suffix(".heartbeat")
        setproctitle("authentik worker")
        worker = Worker(worker_threads(), on_beat=lambda: write(heartbeat, f"{int(time())}\n"))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: worker.stop())
        write(pid_file, f"{os.getpid()}\n")
        blueprints_discovery.send_with(description="Apply all blueprints")
        clean_tokens.send_with(description="Delete tokens that have expired")
        LOGGER.info("authentik Core Worker finished starting", version=authentik_full_version())
        try:
            worker.run()
        finally:
            pid_file.unlink(missing_ok=True)
            heartbeat.unlink(missing_ok=True)
        LOGGER.info("authentik Core Worker stopped")
