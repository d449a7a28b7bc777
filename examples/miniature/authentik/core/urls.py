"""Pages"""

from django.urls import path

from authentik.core import views

app_name = "authentik_core"
urlpatterns = [
    path("", views.RootView.as_view(), name="root"),
    path(
        "flows/-/default/authentication/",
        views.AuthenticationView.as_view(),
        name="default-authentication",
    ),
    path(
        "flows/-/default/invalidation/",
        views.InvalidationView.as_view(),
        name="default-invalidation",
    ),
    path("if/flow/<slug:slug>/", views.FlowView.as_view(), name="if-flow"),
    path("if/user/", views.InterfaceView.as_view(template_name="if/user.html"), name="if-user"),
    path(
        "if/admin/",
        views.AdminInterfaceView.as_view(template_name="if/admin.html"),
        name="if-admin",
    ),
]
