"""Django application"""

from django.apps import AppConfig


class AuthentikBlueprintsConfig(AppConfig):
    """Objects described in files"""

    name = "authentik.blueprints"
    label = "authentik_blueprints"
    verbose_name = "authentik Blueprints"
