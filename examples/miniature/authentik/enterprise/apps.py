"""Django application"""

from django.apps import AppConfig


class AuthentikEnterpriseConfig(AppConfig):
    """What needs a license"""

    name = "authentik.enterprise"
    label = "authentik_enterprise"
    verbose_name = "authentik Enterprise"
