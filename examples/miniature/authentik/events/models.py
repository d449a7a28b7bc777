"""Tasks and what they logged"""

from django.conf import settings
from django.db import models
from django.utils.timezone import now
from django_postgres_queue.models import TaskBase


class Task(TaskBase):
    """A task of the worker, with its log"""

    description = models.TextField(blank=True, default="")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    logs = models.JSONField(default=list)

    class Meta(TaskBase.Meta):
        ordering = ["-created"]

    def log(self, level: str, event: str) -> None:
        """Add a line; it is stored when the task ends."""
        self.logs.append({"timestamp": now().isoformat(), "level": level, "event": event})
