"""Applications"""

from django.core.validators import URLValidator
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from guardian.shortcuts import assign_perm, get_objects_for_user
from rest_framework import fields, status
from rest_framework.decorators import action
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer, ModelSerializer
from rest_framework.viewsets import ModelViewSet

from authentik.core.models import Application
from authentik.core.tasks import check_application
from authentik.events.api import TaskSerializer

_PERMISSIONS = ("view_application", "change_application", "delete_application")


class ApplicationSerializer(ModelSerializer):
    """Application Serializer"""

    # Plain text to clients, or they would have to tell a URL from an empty one by its type.
    launch_url = fields.CharField(required=False, allow_blank=True)

    class Meta:
        model = Application
        fields = ["pk", "name", "slug", "description", "launch_url", "created", "last_check"]
        read_only_fields = ["created", "last_check"]

    def validate_launch_url(self, value: str) -> str:
        if value:
            URLValidator(schemes=["http", "https"])(value)
        return value


class ApplicationViewSet(ModelViewSet):
    """Applications"""

    queryset = Application.objects.none()
    serializer_class = ApplicationSerializer
    lookup_field = "slug"
    ordering_fields = ["name", "slug", "created", "last_check"]
    search_fields = ["name", "slug", "description"]
    filterset_fields: list[str] = []

    def get_queryset(self) -> QuerySet:
        """What the user may do this with. What they may not see isn't there."""
        method = self.request.method
        verb = "view" if method in SAFE_METHODS or self.action == "check" else "change"
        if method == "DELETE":
            verb = "delete"
        return get_objects_for_user(
            self.request.user, f"authentik_core.{verb}_application", Application.objects.all()
        )

    def perform_create(self, serializer: BaseSerializer) -> None:
        """Whoever creates one may do everything with it."""
        application = serializer.save()
        for permission in _PERMISSIONS:
            assign_perm(f"authentik_core.{permission}", self.request.user, application)

    @extend_schema(request=None, responses={202: TaskSerializer})
    @action(detail=True, methods=["POST"])
    def check(self, request: Request, slug: str) -> Response:
        """Have the worker check an application"""
        application = self.get_object()
        task = check_application.send_with(
            args=[str(application.pk)],
            description=f"Check {application.slug}",
            owner=request.user,
        )
        return Response(TaskSerializer(task).data, status=status.HTTP_202_ACCEPTED)
