"""Template tags"""

from django import template
from django.utils.html import format_html

from authentik import authentik_full_version

register = template.Library()


@register.simple_tag
def versioned_script(path: str) -> str:
    """A module of the web interface; %v in its path stands for the version that its name carries"""
    return format_html(
        '<script type="module" src="/static/{}"></script>',
        path.replace("%v", authentik_full_version()),
    )


@register.simple_tag
def versioned_style(path: str) -> str:
    """The same for a style sheet"""
    return format_html(
        '<link rel="stylesheet" href="/static/{}">', path.replace("%v", authentik_full_version())
    )
