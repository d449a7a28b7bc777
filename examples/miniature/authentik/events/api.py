"""Tasks and what they logged"""

from django.db.models import QuerySet
from rest_framework import fields
from rest_framework.serializers import ModelSerializer, Serializer
from rest_framework.viewsets import ReadOnlyModelViewSet

from authentik.events.models import Task


class LogEventSerializer(Serializer):
    """One line that a task logged"""

    timestamp = fields.DateTimeField()
    level = fields.CharField()
    event = fields.CharField()


class TaskSerializer(ModelSerializer):
    """Task Serializer"""

    logs = LogEventSerializer(many=True, read_only=True)

    class Meta:
        model = Task
        fields = ["uuid", "actor_name", "state", "description", "created", "finished", "logs"]
        read_only_fields = fields


class TaskViewSet(ReadOnlyModelViewSet):
    """Tasks of the worker, with their logs"""

    queryset = Task.objects.none()
    serializer_class = TaskSerializer
    lookup_field = "uuid"
    filterset_fields = ["actor_name", "state"]
    ordering_fields = ["created", "finished", "state"]
    search_fields = ["actor_name", "description"]

    def get_queryset(self) -> QuerySet:
        """Administrators see all tasks, others their own."""
        tasks = Task.objects.all()
        user = self.request.user
        return tasks if user.is_superuser else tasks.filter(owner=user)
