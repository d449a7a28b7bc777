"""Which blueprints were applied"""

from uuid import uuid4

from django.db import models


class BlueprintStatus(models.TextChoices):
    """How it went"""

    SUCCESSFUL = "successful"
    ERROR = "error"


class BlueprintInstance(models.Model):
    """A file, as it was when it was last applied"""

    uuid = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    name = models.TextField()
    path = models.TextField(unique=True)
    last_applied_hash = models.TextField(blank=True, default="")
    last_applied = models.DateTimeField(auto_now=True)
    status = models.CharField(max_length=16, choices=BlueprintStatus)

    class Meta:
        ordering = ["path"]

    def __str__(self) -> str:
        return self.path
