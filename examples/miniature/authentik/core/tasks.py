"""What the worker does with applications"""

from pathlib import Path

import ocirefs
from django.utils.timezone import now
from django_postgres_queue import actor
from lxml import etree

from authentik import authentik_version
from authentik.core.models import Application, Token
from authentik.events.logs import log
from authentik.lib.config import CONFIG

NAMESPACE = "urn:authentik:miniature:application"


def application_document(application: Application) -> etree._Element:
    """The application as XML"""
    root = etree.Element(
        f"{{{NAMESPACE}}}application", nsmap={None: NAMESPACE}, id=str(application.pk)
    )
    for name in ("name", "slug", "launch_url"):
        if value := getattr(application, name):
            etree.SubElement(root, f"{{{NAMESPACE}}}{name}").text = value
    return root


def validate(document: etree._Element) -> None:
    """Against the schema of the working directory; raises etree.DocumentInvalid"""
    etree.XMLSchema(etree.parse(Path("schemas/application.xsd"))).assertValid(document)


def outpost_image(kind: str) -> ocirefs.Reference:
    """The image that an outpost of this kind would run"""
    template = CONFIG.get("outposts.container_image_base")
    return ocirefs.parse(template % {"type": kind, "version": authentik_version()})


@actor(description="Check that an application is complete")
def check_application(pk: str) -> None:
    """Write it as XML, hold that against its schema, and note when that was"""
    application = Application.objects.get(pk=pk)
    validate(application_document(application))
    log(f"{application.slug} is valid")
    log(f"An outpost would run {outpost_image('proxy')}")
    application.last_check = now()
    application.save(update_fields=["last_check"])


@actor(description="Delete tokens that have expired")
def clean_tokens() -> None:
    """Delete tokens that have expired"""
    deleted, _ = Token.objects.expired().delete()
    log(f"{deleted} expired tokens deleted")
