"""One line of JSON for each event, ours and that of every library"""

import logging.config

import structlog

_SHARED = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
]


def logging_config(level: str) -> dict:
    """For logging.config.dictConfig"""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.format_exc_info,
                    structlog.processors.EventRenamer("event"),
                    structlog.processors.JSONRenderer(sort_keys=True),
                ],
                "foreign_pre_chain": _SHARED,
            }
        },
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"handlers": ["console"], "level": level},
        "loggers": {
            name: {"handlers": ["console"], "level": level, "propagate": False}
            for name in ("django", "gunicorn", "gunicorn.error", "uvicorn", "uvicorn.error")
        },
    }


def setup(level: str) -> None:
    """Also for code that runs before Django does."""
    logging.config.dictConfig(logging_config(level))
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def level_name(value: str) -> str:
    """`trace` is a level of the Go server only."""
    return {"TRACE": "DEBUG", "WARN": "WARNING"}.get(value.upper(), value.upper())
