"""Django application"""

from django.apps import AppConfig


class AuthentikCoreConfig(AppConfig):
    """Users, applications, pages"""

    name = "authentik.core"
    label = "authentik_core"
    verbose_name = "authentik Core"
