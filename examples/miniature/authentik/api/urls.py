"""/api/v3/"""

from django.urls import path
from rest_framework.routers import SimpleRouter

from authentik.admin.api import VersionView
from authentik.api.config import ConfigView
from authentik.core.api.applications import ApplicationViewSet
from authentik.core.api.users import LoginView, LogoutView, UserMeView
from authentik.events.api import TaskViewSet

router = SimpleRouter()
router.register("core/applications", ApplicationViewSet, basename="application")
router.register("events/tasks", TaskViewSet, basename="task")

urlpatterns = [
    path("admin/version/", VersionView.as_view(), name="admin-version"),
    path("core/login/", LoginView.as_view(), name="core-login"),
    path("core/logout/", LogoutView.as_view(), name="core-logout"),
    path("core/users/me/", UserMeView.as_view(), name="core-users-me"),
    path("root/config/", ConfigView.as_view(), name="root-config"),
    *router.urls,
]
