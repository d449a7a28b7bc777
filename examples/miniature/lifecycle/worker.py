"""gunicorn's workers"""

from uvicorn.workers import UvicornWorker


class DjangoUvicornWorker(UvicornWorker):
    """Django knows nothing of ASGI's lifespan events."""

    CONFIG_KWARGS = {
        "loop": "uvloop",
        "http": "httptools",
        "lifespan": "off",
        "ws": "none",
        "log_config": None,
        "access_log": False,
    }
