"""Django application"""

from django.apps import AppConfig


class AuthentikEventsConfig(AppConfig):
    """Tasks and what they logged"""

    name = "authentik.events"
    label = "authentik_events"
    verbose_name = "authentik Events"
