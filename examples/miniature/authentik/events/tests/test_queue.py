"""The queue"""

from datetime import timedelta
from threading import Event, Thread

from django.db import connection, transaction
from django.test import TransactionTestCase
from django.utils.timezone import now
from django_postgres_queue import actor
from django_postgres_queue.worker import Worker, claim, run

from authentik.core.models import Application
from authentik.core.tasks import check_application
from authentik.events.models import Task


@actor(max_attempts=2)
def broken() -> None:
    """Always fails"""
    raise RuntimeError("broken on purpose")


class TestQueue(TransactionTestCase):
    """The queue"""

    def test_done(self):
        """A task runs, logs and is done"""
        application = Application.objects.create(name="Wiki", slug="wiki")
        check_application.send(str(application.pk))
        run(claim())
        task = Task.objects.get()
        self.assertEqual(task.state, "done", task.logs)
        self.assertEqual(task.logs[0]["event"], "wiki is valid")
        application.refresh_from_db()
        self.assertIsNotNone(application.last_check)
        self.assertIsNone(claim())

    def test_retry(self):
        """A task that fails is tried again, later, and not for ever"""
        task = broken.send()
        run(claim())
        self.assertIsNone(claim(), "too early")
        Task.objects.update(eta=now())
        run(claim())
        task.refresh_from_db()
        self.assertEqual((task.state, task.attempts), ("error", 2))
        self.assertIn("broken on purpose", task.logs[-1]["event"])

    def test_rollback(self):
        """No transaction, no task"""
        with transaction.atomic():
            broken.send()
            transaction.set_rollback(True)
        self.assertIsNone(claim())

    def test_skip_locked(self):
        """Two workers never get the same task, and do not wait for each other"""
        first, second = broken.send(), broken.send()
        taken = []

        def other():
            taken.append(claim().pk)
            connection.close()

        with transaction.atomic():
            taken.append(claim().pk)
            thread = Thread(target=other)
            thread.start()
            thread.join(10)
        self.assertEqual(sorted(taken), sorted([first.pk, second.pk]))

    def test_lost(self):
        """What a dead worker left behind is taken over when its lease runs out"""
        task = broken.send()
        claim()
        self.assertIsNone(claim())
        Task.objects.update(lease_until=now() - timedelta(seconds=1))
        self.assertEqual(claim().pk, task.pk)

    def test_worker(self):
        """A notification wakes the worker"""
        beat = Event()
        worker = Worker(2, on_beat=beat.set)
        thread = Thread(target=worker.run)
        thread.start()
        try:
            self.assertTrue(beat.wait(10))
            application = Application.objects.create(name="Wiki", slug="wiki")
            task = check_application.send(str(application.pk))
            deadline = now() + timedelta(seconds=10)
            while task.state != "done" and now() < deadline:
                task.refresh_from_db()
            self.assertEqual(task.state, "done")
        finally:
            worker.stop()
            thread.join(10)
        self.assertFalse(thread.is_alive())
