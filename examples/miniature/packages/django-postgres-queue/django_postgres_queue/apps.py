"""Django application"""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class PostgresQueueConfig(AppConfig):
    """Finds the actors in the module `tasks` of every application"""

    name = "django_postgres_queue"
    label = "django_postgres_queue"

    def ready(self) -> None:
        autodiscover_modules("tasks")
