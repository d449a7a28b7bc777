"""Makes `user.has_perm(name, obj)` answer for single objects"""

from django.contrib.auth.backends import BaseBackend

from guardian.models import UserObjectPermission


class ObjectPermissionBackend(BaseBackend):
    """Authenticates nobody; only answers for permissions"""

    def get_all_permissions(self, user_obj, obj=None) -> set[str]:
        if obj is None or not user_obj.is_active or user_obj.is_anonymous:
            return set()
        granted = UserObjectPermission.objects.filter(
            user=user_obj,
            object_pk=str(obj.pk),
            content_type__app_label=obj._meta.app_label,
            content_type__model=obj._meta.model_name,
        ).values_list("content_type__app_label", "permission__codename")
        return {f"{app_label}.{codename}" for app_label, codename in granted}
