"""`python -m manage test authentik`"""

from django.conf import settings
from django.test.runner import DiscoverRunner


class QuietRunner(DiscoverRunner):
    """Django's runner, with a password hash that costs nothing. Needs no package of the group dev."""

    def setup_test_environment(self, **kwargs) -> None:
        super().setup_test_environment(**kwargs)
        settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
