"""Functions that run in the worker"""

from collections.abc import Callable
from datetime import timedelta
from functools import update_wrapper

from django.db import connections, router, transaction
from django.utils.timezone import now

CHANNEL = "django_postgres_queue"

_actors: dict[str, Actor] = {}


class Actor:
    """A function, and how it is to be run as a task. Calling it runs it here and now."""

    def __init__(self, fn: Callable, *, description: str, max_attempts: int) -> None:
        self.fn = fn
        self.name = f"{fn.__module__}.{fn.__qualname__}"
        self.description = description
        self.max_attempts = max_attempts
        update_wrapper(self, fn)

    def __call__(self, *args, **kwargs):
        return self.fn(*args, **kwargs)

    def send(self, *args, **kwargs):
        """Run it in the worker, as soon as the present transaction is committed."""
        return self.send_with(args=args, kwargs=kwargs)

    def send_with(self, *, args=(), kwargs=None, delay: timedelta = timedelta(), **fields):
        """The same, with a delay, or with values for the project's own fields."""
        from django_postgres_queue.models import task_model

        model = task_model()
        using = router.db_for_write(model)
        with transaction.atomic(using=using):
            task = model.objects.using(using).create(
                actor_name=self.name,
                args=list(args),
                kwargs=kwargs or {},
                eta=now() + delay,
                **fields,
            )
            with connections[using].cursor() as cursor:
                # Sent by PostgreSQL on commit, and not at all on a rollback.
                cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, str(task.pk)])
        return task


def actor(*, description: str = "", max_attempts: int = 3) -> Callable[[Callable], Actor]:
    """Make a function a task. Its arguments have to be JSON."""

    def decorate(fn: Callable) -> Actor:
        made = Actor(fn, description=description, max_attempts=max_attempts)
        _actors[made.name] = made
        return made

    return decorate


def get_actor(name: str) -> Actor:
    """The actor of this name; KeyError where there is none."""
    return _actors[name]
