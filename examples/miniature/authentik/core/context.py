"""What every template may use"""

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from authentik import authentik_full_version
from authentik.core.models import Brand


def brand(request: HttpRequest) -> dict:
    """The brand and the version"""
    return {"brand": SimpleLazyObject(Brand.default), "version": authentik_full_version()}
