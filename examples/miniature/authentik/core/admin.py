"""Django's own administration, at /django-admin/"""

from django.contrib import admin

from authentik.core.models import Application, Brand, Token, User


@admin.register(User)
class UserAdmin(admin.ModelAdmin):
    """Users; passwords are set with `ak changepassword`"""

    list_display = ["username", "name", "email", "is_active", "is_superuser"]
    search_fields = ["username", "name", "email"]
    exclude = ["password"]


@admin.register(Application)
class ApplicationAdmin(admin.ModelAdmin):
    """Applications"""

    list_display = ["name", "slug", "created", "last_check"]
    search_fields = ["name", "slug"]


@admin.register(Token)
class TokenAdmin(admin.ModelAdmin):
    """Tokens, without their keys"""

    list_display = ["identifier", "user", "intent", "expires"]
    exclude = ["key"]


admin.site.register(Brand)
