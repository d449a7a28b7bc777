"""`python -m manage test authentik`"""

import logging

from django.conf import settings
from django.test.runner import DiscoverRunner


class QuietRunner(DiscoverRunner):
    """Django's runner, without the log and with a password hash that costs nothing

    It needs no package of the group dev.
    """

    def setup_test_environment(self, **kwargs) -> None:
        super().setup_test_environment(**kwargs)
        logging.disable(logging.ERROR)
        settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
