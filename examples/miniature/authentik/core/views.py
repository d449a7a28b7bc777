"""Pages: each is a frame for an interface that the web half builds"""

from urllib.parse import urlencode

from django.contrib.auth import logout
from django.contrib.auth.mixins import LoginRequiredMixin, UserPassesTestMixin
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.generic import RedirectView, TemplateView

from authentik.core.api.users import end_login

DEFAULT_FLOW = "default-authentication-flow"


class RootView(RedirectView):
    """Whoever comes without saying where to"""

    pattern_name = "authentik_core:if-user"


class AuthenticationView(View):
    """To the flow that logs in, and back"""

    def get(self, request: HttpRequest) -> HttpResponse:
        target = reverse("authentik_core:if-flow", kwargs={"slug": DEFAULT_FLOW})
        following = request.GET.get("next")
        return redirect(f"{target}?{urlencode({'next': following})}" if following else target)


class InvalidationView(View):
    """Logs out"""

    def get(self, request: HttpRequest) -> HttpResponse:
        end_login(request)
        logout(request)
        return redirect("authentik_core:default-authentication")


@method_decorator(ensure_csrf_cookie, name="dispatch")
class FlowView(TemplateView):
    """Runs a flow; the miniature has one. `?sfe` asks for what old browsers understand."""

    def get_template_names(self) -> list[str]:
        return ["if/flow-sfe.html" if "sfe" in self.request.GET else "if/flow.html"]

    def get_context_data(self, **kwargs) -> dict:
        if kwargs["slug"] != DEFAULT_FLOW:
            raise Http404
        return super().get_context_data(**kwargs)


@method_decorator(ensure_csrf_cookie, name="dispatch")
class InterfaceView(LoginRequiredMixin, TemplateView):
    """An interface for whoever has logged in"""


class AdminInterfaceView(UserPassesTestMixin, InterfaceView):
    """An interface for administrators; others get 403"""

    def test_func(self) -> bool:
        return self.request.user.is_superuser

    def handle_no_permission(self) -> HttpResponse:
        self.raise_exception = self.request.user.is_authenticated
        return super().handle_no_permission()
