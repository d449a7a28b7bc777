"""Log in, log out, who am I"""

from django.contrib.auth import authenticate, login, logout
from django.middleware.csrf import get_token
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import fields, status
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import ModelSerializer, Serializer
from rest_framework.views import APIView

from authentik.core.models import Token, User

SESSION_TOKEN = "authentik/core/token"  # nosec


class UserSelfSerializer(ModelSerializer):
    """User Serializer for information a user can retrieve about themselves"""

    class Meta:
        model = User
        fields = ["pk", "username", "name", "email", "is_active", "is_superuser"]
        read_only_fields = fields


class SessionUserSerializer(Serializer):
    """The user of this session. Only a log-in's answer has a token."""

    user = UserSelfSerializer()
    token = fields.CharField(allow_null=True)


class LoginSerializer(Serializer):
    """User name and password"""

    username = fields.CharField()
    password = fields.CharField(trim_whitespace=False)


def end_login(request) -> None:
    """Revoke the token that came with the session, and that which the request itself used."""
    key = request.session.get(SESSION_TOKEN)
    if key:
        Token.objects.filter(pk=key).delete()
    used = getattr(request, "auth", None)
    if isinstance(used, Token) and used.intent == "login":
        used.delete()


class LoginView(APIView):
    """Log in"""

    # No session is looked at, so no CSRF token is asked for: there is nothing yet that one could misuse.
    authentication_classes = []
    permission_classes = [AllowAny]

    @extend_schema(
        request=LoginSerializer,
        responses={
            200: SessionUserSerializer,
            401: OpenApiResponse({"$ref": "#/components/schemas/GenericError"}),
        },
    )
    def post(self, request: Request) -> Response:
        """Log in: sets the session cookie, and answers with a bearer token"""
        given = LoginSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        user = authenticate(request, **given.validated_data)
        if user is None:
            raise AuthenticationFailed("Invalid username or password")
        login(request._request, user)
        get_token(request._request)  # sets the cookie with the CSRF token
        token = Token.for_login(user)
        request._request.session[SESSION_TOKEN] = str(token.pk)
        return Response(SessionUserSerializer({"user": user, "token": token.key}).data)

    def get_authenticate_header(self, request: Request) -> str:
        return "Bearer"  # wrong credentials are a 401, not a 403


class LogoutView(APIView):
    """Log out"""

    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        """Log out: ends the session, and revokes its bearer token"""
        end_login(request)
        logout(request._request)
        return Response(status=status.HTTP_204_NO_CONTENT)


class UserMeView(APIView):
    """The current user"""

    @extend_schema(responses={200: SessionUserSerializer})
    def get(self, request: Request) -> Response:
        """Get information about current user"""
        return Response(SessionUserSerializer({"user": request.user, "token": None}).data)
