"""Who may do what with which object"""

from django.conf import settings
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.db import models


class UserObjectPermission(models.Model):
    """A permission that one user has on one object"""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    permission = models.ForeignKey(Permission, on_delete=models.CASCADE)
    content_type = models.ForeignKey(ContentType, on_delete=models.CASCADE)
    object_pk = models.CharField(max_length=255)
    content_object = GenericForeignKey("content_type", "object_pk")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "permission", "object_pk"], name="guardian_unique_grant"
            )
        ]
        indexes = [models.Index(fields=["content_type", "object_pk"], name="guardian_by_object")]

    def __str__(self) -> str:
        return f"{self.user}: {self.permission} on {self.object_pk}"
