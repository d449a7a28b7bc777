"""What a task has to say"""

from django_postgres_queue import current_task
from structlog.stdlib import get_logger


def log(event: str) -> None:
    """To the log of the task that runs; outside of one, to that of the process"""
    task = current_task()
    if task is None:
        get_logger().info(event)
    else:
        task.log("info", event)
