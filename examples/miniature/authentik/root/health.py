"""For the Go server, and for whoever watches it"""

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse
from django_prometheus.exports import ExportToDjangoView

_migrated = False


def live(request: HttpRequest) -> HttpResponse:
    """The process answers."""
    return HttpResponse(status=200)


def ready(request: HttpRequest) -> HttpResponse:
    """The database answers, and is as this version wants it. 503 until then."""
    global _migrated  # noqa: PLW0603 once true it stays true, and the question is not cheap
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        if not _migrated:
            executor = MigrationExecutor(connection)
            _migrated = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        return HttpResponse(status=503)
    return HttpResponse(status=200 if _migrated else 503)


def metrics(request: HttpRequest) -> HttpResponse:
    """For Prometheus. Only the Go server comes here: it asks for no log-in."""
    return ExportToDjangoView(request)
