"""The task that runs in this context"""

from contextvars import ContextVar

_current: ContextVar = ContextVar("django_postgres_queue_task", default=None)


def current_task():
    """The task that this code runs as, or None."""
    return _current.get()


class running_task:  # noqa: N801
    """While this is entered, `current_task` gives the task."""

    def __init__(self, task) -> None:
        self.task = task

    def __enter__(self):
        self.token = _current.set(self.task)
        return self.task

    def __exit__(self, *_) -> None:
        _current.reset(self.token)
