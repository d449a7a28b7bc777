"""Authorization: Bearer TOKEN"""

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from authentik.core.models import Token


class BearerAuthentication(BaseAuthentication):
    """A request that has the header is never looked at for a session, so it needs no CSRF token."""

    def authenticate(self, request: Request):
        scheme, _, key = get_authorization_header(request).decode("latin-1").partition(" ")
        if not scheme:
            return None
        if scheme.lower() != "bearer":
            raise AuthenticationFailed("Unsupported authentication type")
        token = Token.objects.valid().select_related("user").filter(key=key).first()
        if token is None or not token.user.is_active:
            raise AuthenticationFailed("Token invalid or expired")
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class BearerSchema(OpenApiAuthenticationExtension):
    """How the description of the API calls it"""

    target_class = BearerAuthentication
    name = "authentik"

    def get_security_definition(self, auto_schema):
        return {"type": "http", "scheme": "bearer"}


class SessionSchema(OpenApiAuthenticationExtension):
    """How the description of the API calls the session"""

    target_class = "rest_framework.authentication.SessionAuthentication"
    name = "session"
    priority = 1

    def get_security_definition(self, auto_schema):
        return {"type": "apiKey", "in": "cookie", "name": "authentik_session"}
