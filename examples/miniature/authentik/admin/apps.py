"""Django application"""

from django.apps import AppConfig


class AuthentikAdminConfig(AppConfig):
    """For administrators"""

    name = "authentik.admin"
    label = "authentik_admin"
    verbose_name = "authentik Admin"
