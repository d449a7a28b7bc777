"""What callers need: give, take away, ask, list"""

from django.contrib.auth.models import AbstractBaseUser, Permission
from django.contrib.contenttypes.models import ContentType
from django.db.models import CharField, Model, QuerySet
from django.db.models.functions import Cast

from guardian.models import UserObjectPermission


def _permission(name: str, obj: type[Model] | Model) -> Permission:
    app_label, _, codename = name.rpartition(".")
    content_type = ContentType.objects.get_for_model(obj)
    if app_label and app_label != content_type.app_label:
        raise ValueError(f"{name} is no permission on {content_type}")
    return Permission.objects.get(content_type=content_type, codename=codename)


def assign_perm(name: str, user: AbstractBaseUser, obj: Model) -> UserObjectPermission:
    """Give a user a permission on an object; giving it twice is no error."""
    permission = _permission(name, obj)
    return UserObjectPermission.objects.get_or_create(
        user=user,
        permission=permission,
        object_pk=str(obj.pk),
        defaults={"content_type": permission.content_type},
    )[0]


def remove_perm(name: str, user: AbstractBaseUser, obj: Model) -> None:
    """Take it away again."""
    UserObjectPermission.objects.filter(
        user=user, permission=_permission(name, obj), object_pk=str(obj.pk)
    ).delete()


def get_objects_for_user(user, name: str, queryset: QuerySet) -> QuerySet:
    """Those objects on which the user has the permission, directly or on the whole model."""
    permission = _permission(name, queryset.model)
    if user.has_perm(f"{permission.content_type.app_label}.{permission.codename}"):
        return queryset
    granted = UserObjectPermission.objects.filter(user=user, permission=permission)
    return queryset.annotate(_pk_text=Cast("pk", CharField())).filter(
        _pk_text__in=granted.values("object_pk")
    )
