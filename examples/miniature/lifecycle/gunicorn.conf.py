"""gunicorn, as the Go server spawns it: `gunicorn -c ./lifecycle/gunicorn.conf.py authentik.root.asgi:application`"""

import os
from pathlib import Path
from tempfile import gettempdir

from structlog.stdlib import get_logger

from authentik import authentik_full_version
from authentik.lib.config import CONFIG
from authentik.lib.logging import level_name, logging_config
from lifecycle.migrate import run_migrations

_temporary = Path(gettempdir())

bind = f"unix:{_temporary / 'authentik-core.sock'}"
worker_class = "lifecycle.worker.DjangoUvicornWorker"
worker_tmp_dir = str(_temporary)
workers = CONFIG.get_int("web.workers", 2)
threads = CONFIG.get_int("web.threads", 4)
preload_app = True
timeout = 60
graceful_timeout = 15
control_socket_disable = True
# The Go server is the only one that can reach the socket.
forwarded_allow_ips = "*"

_level = level_name(CONFIG.get("log_level"))
loglevel = _level.lower()
logconfig_dict = logging_config(_level)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "authentik.root.settings")
_metrics = Path(
    os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", str(_temporary / "authentik_prometheus"))
)
_metrics.mkdir(parents=True, exist_ok=True)


def when_ready(server) -> None:
    """The socket is bound and the application is loaded."""
    get_logger().info("authentik core is ready", bind=bind, version=authentik_full_version())


def post_fork(server, worker) -> None:
    """Connections to the database do not survive a fork."""
    from django.db import connections

    for connection in connections.all(initialized_only=True):
        connection.inc_thread_sharing()
        connection.close()


def child_exit(server, worker) -> None:
    """Forget the metrics of a process that is gone."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)


for _stale in _metrics.glob("*.db"):
    _stale.unlink(missing_ok=True)
run_migrations()
