"""Users, their tokens, applications, the brand"""

from datetime import timedelta
from secrets import token_urlsafe
from uuid import uuid4

from django.contrib.auth.models import AbstractUser
from django.core.validators import URLValidator
from django.db import models
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from authentik.lib.config import CONFIG


class User(AbstractUser):
    """A user, with one name instead of two"""

    first_name = None
    last_name = None
    uuid = models.UUIDField(default=uuid4, editable=False, unique=True)
    name = models.TextField(blank=True, default="", help_text=_("User's display name."))

    class Meta:
        verbose_name = _("User")
        verbose_name_plural = _("Users")

    def get_full_name(self) -> str:
        return self.name or self.username


class TokenQuerySet(models.QuerySet):
    """Tokens"""

    def valid(self):
        """Those that may still be used"""
        return self.filter(models.Q(expires=None) | models.Q(expires__gt=now()))

    def expired(self):
        """Those that may be deleted"""
        return self.filter(expires__lte=now())


def default_key() -> str:
    """43 characters, 256 bits"""
    return token_urlsafe(32)


class TokenIntent(models.TextChoices):
    """What a token was made for"""

    LOGIN = "login", _("Log-in")
    API = "api", _("API access")


class Token(models.Model):
    """The key stands for the user"""

    uuid = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    identifier = models.SlugField(max_length=255, unique=True)
    key = models.TextField(default=default_key, unique=True)
    intent = models.CharField(max_length=8, choices=TokenIntent, default=TokenIntent.API)
    user = models.ForeignKey(User, on_delete=models.CASCADE)
    expires = models.DateTimeField(null=True, blank=True)

    objects = TokenQuerySet.as_manager()

    class Meta:
        verbose_name = _("Token")
        verbose_name_plural = _("Tokens")

    def __str__(self) -> str:
        return self.identifier

    @classmethod
    def for_login(cls, user: User) -> Token:
        """For the length of a session"""
        return cls.objects.create(
            identifier=f"login-{uuid4()}",
            intent=TokenIntent.LOGIN,
            user=user,
            expires=now() + timedelta(hours=12),
        )


class Application(models.Model):
    """What users log in to"""

    uuid = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    name = models.TextField(help_text=_("Application's display Name."))
    slug = models.SlugField(unique=True, help_text=_("Internal application name, used in URLs."))
    description = models.TextField(blank=True, default="")
    launch_url = models.TextField(blank=True, default="", validators=[URLValidator()])
    created = models.DateTimeField(auto_now_add=True)
    last_check = models.DateTimeField(
        null=True, editable=False, help_text=_("When the worker last looked at it.")
    )

    class Meta:
        verbose_name = _("Application")
        verbose_name_plural = _("Applications")
        ordering = ["name", "slug"]

    def __str__(self) -> str:
        return self.name


class Brand(models.Model):
    """How this installation shows itself"""

    uuid = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    domain = models.TextField(unique=True, default="authentik-default")
    title = models.TextField()
    icon = models.TextField(blank=True, default="")

    class Meta:
        verbose_name = _("Brand")
        verbose_name_plural = _("Brands")

    def __str__(self) -> str:
        return self.domain

    @classmethod
    def default(cls) -> Brand:
        """What a blueprint made, else what the configuration says"""
        brand = cls.objects.filter(domain="authentik-default").first()
        icon = CONFIG.get("brand.icon")
        if brand is None:
            return cls(title=CONFIG.get("brand.title"), icon=icon)
        brand.icon = brand.icon or icon
        return brand
