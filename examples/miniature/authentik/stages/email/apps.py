"""Django application"""

from django.apps import AppConfig


class AuthentikStageEmailConfig(AppConfig):
    """E-mail"""

    name = "authentik.stages.email"
    label = "authentik_stages_email"
    verbose_name = "authentik Stages.Email"
