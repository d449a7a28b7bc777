"""Django application"""

from django.apps import AppConfig


class AuthentikSourceKerberosConfig(AppConfig):
    """Users of a Kerberos realm"""

    name = "authentik.sources.kerberos"
    label = "authentik_sources_kerberos"
    verbose_name = "authentik Sources.Kerberos"
