"""What the web interface and the Go server have to know before anybody has logged in"""

from enum import StrEnum
from pathlib import Path

from drf_spectacular.utils import extend_schema
from rest_framework import fields
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from authentik import authentik_full_version
from authentik.core.models import Brand
from authentik.enterprise.license import is_enterprise
from authentik.lib.config import CONFIG


class Capabilities(StrEnum):
    """What this installation can do"""

    CAN_SAVE_MEDIA = "can_save_media"
    CAN_GEO_IP = "can_geo_ip"
    CAN_DEBUG = "can_debug"
    IS_ENTERPRISE = "is_enterprise"


class ErrorReportingConfigSerializer(Serializer):
    """Error reporting options"""

    enabled = fields.BooleanField()
    environment = fields.CharField()
    send_pii = fields.BooleanField()


class ConfigSerializer(Serializer):
    """Public configuration"""

    brand_title = fields.CharField()
    brand_icon = fields.CharField()
    log_level = fields.CharField()
    error_reporting = ErrorReportingConfigSerializer()
    capabilities = fields.ListField(
        child=fields.ChoiceField(choices=[(c, c) for c in Capabilities])
    )
    web_workers = fields.IntegerField()
    cache_timeout = fields.IntegerField()
    version = fields.CharField()


def capabilities() -> list[Capabilities]:
    """The capabilities that hold"""
    holds = {
        # Only where something is mounted: what is written elsewhere would be gone with the next version.
        Capabilities.CAN_SAVE_MEDIA: Path("/data").is_mount(),
        Capabilities.CAN_GEO_IP: any(Path("/geoip").glob("*.mmdb")),
        Capabilities.CAN_DEBUG: CONFIG.get_bool("debug"),
        Capabilities.IS_ENTERPRISE: is_enterprise(),
    }
    return [capability for capability, true in holds.items() if true]


class ConfigView(APIView):
    """Public configuration"""

    authentication_classes = []
    permission_classes = [AllowAny]

    @extend_schema(responses={200: ConfigSerializer})
    def get(self, request: Request) -> Response:
        """Retrieve public configuration options"""
        brand = Brand.default()
        config = {
            "brand_title": brand.title,
            "brand_icon": brand.icon,
            "log_level": CONFIG.get("log_level"),
            "error_reporting": {
                "enabled": CONFIG.get_bool("error_reporting.enabled"),
                "environment": CONFIG.get("error_reporting.environment"),
                "send_pii": CONFIG.get_bool("error_reporting.send_pii"),
            },
            "capabilities": capabilities(),
            "web_workers": CONFIG.get_int("web.workers"),
            "cache_timeout": CONFIG.get_int("cache.timeout"),
            "version": authentik_full_version(),
        }
        return Response(ConfigSerializer(config).data)
