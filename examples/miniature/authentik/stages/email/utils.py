"""E-mail with a picture in it"""

from email.mime.image import MIMEImage
from functools import lru_cache
from pathlib import Path

from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string

# Relative to the working directory: the first in a work tree, the second where only what was built is there.
LOGOS = (
    Path("web/icons/icon_left_brand.png"),
    Path("web/dist/assets/icons/icon_left_brand.png"),
)


@lru_cache
def logo_data() -> MIMEImage:
    """The logo, as a part of a message"""
    path = next((path for path in LOGOS if path.exists()), LOGOS[0])
    logo = MIMEImage(path.read_bytes())
    logo.add_header("Content-ID", "<logo>")
    return logo


def template_email(
    subject: str, to: list[str], template: str, context: dict
) -> EmailMultiAlternatives:
    """A message in HTML and in plain text, out of TEMPLATE.html and TEMPLATE.txt"""
    context = {"subject": subject, **context}
    message = EmailMultiAlternatives(
        subject=subject, body=render_to_string(f"email/{template}.txt", context), to=to
    )
    message.attach_alternative(render_to_string(f"email/{template}.html", context), "text/html")
    message.mixed_subtype = "related"
    message.attach(logo_data())
    return message
