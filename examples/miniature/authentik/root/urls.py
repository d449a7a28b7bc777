"""All URLs of the Python half"""

from django.contrib import admin
from django.contrib.staticfiles.views import serve
from django.urls import include, path, re_path

from authentik.root import health

urlpatterns = [
    path("-/health/live/", health.live, name="health-live"),
    path("-/health/ready/", health.ready, name="health-ready"),
    path("-/metrics/", health.metrics, name="metrics"),
    path("api/v3/", include("authentik.api.urls")),
    re_path(r"^django-admin/static/(?P<path>.*)$", serve, {"insecure": True}),
    path("django-admin/", admin.site.urls),
    path("", include("authentik.core.urls")),
]
