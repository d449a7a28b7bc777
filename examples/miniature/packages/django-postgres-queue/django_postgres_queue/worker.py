"""Claims tasks and runs them"""

import threading
from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.db import close_old_connections, connection, transaction
from django.db.models import Q
from django.utils.timezone import now
from psycopg import OperationalError as PsycopgError
from structlog.stdlib import get_logger

from django_postgres_queue.actors import CHANNEL, get_actor
from django_postgres_queue.current import running_task
from django_postgres_queue.models import TaskBase, TaskState, task_model

LOGGER = get_logger()
LEASE = timedelta(minutes=5)
POLL_SECONDS = 5.0
RETRY_AFTER = timedelta(seconds=15)


def claim() -> TaskBase | None:
    """Take the task that waits longest; no other worker can get the same."""
    moment = now()
    with transaction.atomic():
        task = (
            task_model()
            .objects.select_for_update(skip_locked=True)
            .filter(
                Q(state=TaskState.QUEUED, eta__lte=moment)
                | Q(state=TaskState.RUNNING, lease_until__lt=moment)
            )
            .order_by("eta")
            .first()
        )
        if task is None:
            return None
        task.state = TaskState.RUNNING
        task.attempts += 1
        task.lease_until = moment + LEASE
        task.save(update_fields=["state", "attempts", "lease_until"])
    return task


def run(task: TaskBase) -> None:
    """Run a task that was claimed, and record how it went."""
    log = LOGGER.bind(task=str(task.pk), actor=task.actor_name)
    retry = False
    with running_task(task):
        try:
            actor = get_actor(task.actor_name)
            retry = task.attempts < actor.max_attempts
            actor(*task.args, **task.kwargs)
        except Exception as exc:  # whatever a task does, the worker goes on
            log.warning("Task failed", retry=retry, exc_info=exc)
            if hasattr(task, "log"):
                task.log("error", f"{type(exc).__name__}: {exc}")
            task.state = TaskState.QUEUED if retry else TaskState.ERROR
            task.eta = now() + RETRY_AFTER * task.attempts
        else:
            log.info("Task done")
            task.state = TaskState.DONE
    task.lease_until = None
    task.finished = now() if task.state in (TaskState.DONE, TaskState.ERROR) else None
    task.save()


class Worker:
    """Threads that run tasks, and one that waits for PostgreSQL to say that there are new ones"""

    def __init__(self, threads: int, on_beat: Callable[[], None]) -> None:
        self._stop = threading.Event()
        self._wake = threading.Semaphore(0)
        self._threads = [
            threading.Thread(target=self._work, name=f"task-{number}") for number in range(threads)
        ]
        self._on_beat = on_beat

    def stop(self) -> None:
        """Finish what runs, start nothing more. Safe in a signal handler."""
        self._stop.set()

    def run(self) -> None:
        """Work until stopped."""
        for thread in self._threads:
            thread.start()
        while not self._stop.is_set():
            try:
                self._listen()
            except PsycopgError as exc:
                LOGGER.warning("Lost the connection to PostgreSQL", exc=str(exc))
                self._stop.wait(2)
        for _ in self._threads:
            self._wake.release()
        for thread in self._threads:
            thread.join()

    def _listen(self) -> None:
        """A connection of its own: one that listens must not be shared."""
        params = connection.get_connection_params()
        for key in ("cursor_factory", "context"):
            params.pop(key, None)
        with connection.Database.connect(**params, autocommit=True) as listener:
            listener.execute(f"LISTEN {CHANNEL}")
            self._wake_all()
            while not self._stop.is_set():
                self._on_beat()
                # Short, so that a signal is obeyed soon; every poll also finds delayed and lost tasks.
                for _ in range(int(POLL_SECONDS)):
                    for _notice in listener.notifies(timeout=1.0, stop_after=1):
                        self._wake_all()
                    if self._stop.is_set():
                        return
                self._wake_all()

    def _wake_all(self) -> None:
        for _ in self._threads:
            self._wake.release()

    def _work(self) -> None:
        while not self._stop.is_set():
            self._wake.acquire()
            close_old_connections()
            try:
                while not self._stop.is_set() and (task := claim()):
                    run(task)
            except Exception as exc:  # the database went away: the next wake-up tries again
                LOGGER.warning("Cannot claim a task", exc=str(exc))
                self._stop.wait(1)
        connection.close()


def worker_threads() -> int:
    """How many threads the project wants"""
    return int(settings.POSTGRES_QUEUE.get("threads", 2))
