"""Django application"""

from django.apps import AppConfig


class AuthentikAPIConfig(AppConfig):
    """What all of the API shares"""

    name = "authentik.api"
    label = "authentik_api"
    verbose_name = "authentik API"

    def ready(self) -> None:
        pass  # noqa: F401 registers the schema of the bearer token
