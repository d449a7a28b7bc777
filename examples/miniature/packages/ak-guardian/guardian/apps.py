"""Django application"""

from django.apps import AppConfig


class GuardianConfig(AppConfig):
    """Permissions on single objects"""

    name = "guardian"
    label = "guardian"
    default_auto_field = "django.db.models.BigAutoField"
