"""What a task looks like in the database"""

from uuid import uuid4

from django.apps import apps
from django.conf import settings
from django.db import models


class TaskState(models.TextChoices):
    """The life of a task"""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    ERROR = "error"


class TaskBase(models.Model):
    """A task: which actor is to run with which arguments, and how far that has come"""

    uuid = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    actor_name = models.TextField()
    args = models.JSONField(default=list)
    kwargs = models.JSONField(default=dict)
    state = models.CharField(max_length=16, choices=TaskState, default=TaskState.QUEUED)
    attempts = models.PositiveIntegerField(default=0)
    eta = models.DateTimeField(help_text="Not before this time")
    lease_until = models.DateTimeField(
        null=True, help_text="Until when the worker that runs it answers for it"
    )
    created = models.DateTimeField(auto_now_add=True)
    finished = models.DateTimeField(null=True)

    class Meta:
        abstract = True
        indexes = [
            models.Index(
                fields=["eta"],
                name="%(app_label)s_%(class)s_open",
                condition=models.Q(state__in=["queued", "running"]),
            )
        ]

    def __str__(self) -> str:
        return f"{self.actor_name} ({self.uuid})"


def task_model() -> type[TaskBase]:
    """The project's own model"""
    return apps.get_model(settings.POSTGRES_QUEUE["task_model"])
