"""The version that runs"""

from drf_spectacular.utils import extend_schema
from rest_framework import fields
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from authentik import authentik_build_hash, authentik_version


class VersionSerializer(Serializer):
    """Version of the running instance"""

    version_current = fields.CharField()
    build_hash = fields.CharField()


class VersionView(APIView):
    """Version of the running instance"""

    @extend_schema(responses={200: VersionSerializer})
    def get(self, request: Request) -> Response:
        """Version of the running instance"""
        data = {"version_current": authentik_version(), "build_hash": authentik_build_hash()}
        return Response(VersionSerializer(data).data)
