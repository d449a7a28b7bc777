"""Background tasks in PostgreSQL"""

from django_postgres_queue.actors import Actor, actor, get_actor
from django_postgres_queue.current import current_task

__all__ = ["Actor", "actor", "current_task", "get_actor"]
