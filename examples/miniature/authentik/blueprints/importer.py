"""Applies blueprints"""

from hashlib import sha512
from pathlib import Path

from django.apps import apps
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db import transaction
from structlog.stdlib import get_logger

from authentik.blueprints.document import Blueprint, Entry, State, parse, resolve
from authentik.blueprints.models import BlueprintInstance, BlueprintStatus
from authentik.lib.config import CONFIG

LOGGER = get_logger()
ALLOWED_APPS = {"authentik_core"}


def blueprints_dir() -> Path:
    """Where blueprints lie"""
    return Path(CONFIG.get("blueprints_dir"))


def apply_entry(entry: Entry, context: dict) -> None:
    """Make the object what the entry says."""
    if not all(resolve(condition, context) for condition in entry.conditions):
        return
    model = apps.get_model(entry.model)
    if model._meta.app_label not in ALLOWED_APPS:
        raise ValueError(f"{entry.model} can't be set by a blueprint")
    identifiers = resolve(entry.identifiers, context)
    existing = model.objects.filter(**identifiers).first()
    if entry.state == State.ABSENT:
        if existing:
            existing.delete()
        return
    if existing and entry.state == State.CREATED:
        return
    attrs = {
        key: value for key, value in resolve(entry.attrs, context).items() if value is not None
    }
    password = attrs.pop("password", None)
    instance = existing or model(**identifiers)
    for key, value in attrs.items():
        setattr(instance, key, value)
    if isinstance(instance, AbstractBaseUser):
        if password is not None:
            instance.set_password(password)
        elif not existing:
            instance.set_unusable_password()
    try:
        instance.full_clean(exclude=["password"])
    except ValidationError as exc:
        raise ValueError(f"{entry.model} {identifiers}: {'; '.join(exc.messages)}") from exc
    instance.save()


def apply(blueprint: Blueprint) -> None:
    """All of it, or nothing."""
    context = resolve(blueprint.context, {})
    with transaction.atomic():
        for entry in blueprint.entries:
            apply_entry(entry, context)


def apply_file(path: str) -> None:
    """Apply a file below the folder of blueprints, and note that."""
    folder = blueprints_dir().resolve()
    file = (folder / path).resolve()
    if not file.is_relative_to(folder):
        raise ValueError(f"{path} lies outside of {folder}")
    text = file.read_text(encoding="utf-8")
    blueprint = parse(text)
    status = BlueprintStatus.ERROR
    try:
        apply(blueprint)
        status = BlueprintStatus.SUCCESSFUL
    finally:
        BlueprintInstance.objects.update_or_create(
            path=str(file.relative_to(folder)),
            defaults={
                "name": blueprint.metadata.name,
                "status": status,
                "last_applied_hash": sha512(text.encode()).hexdigest(),
            },
        )
    LOGGER.info("Applied blueprint", path=path, name=blueprint.metadata.name)


def discover() -> list[str]:
    """All files but those of system/, which are applied on request, in a fixed order"""
    folder = blueprints_dir()
    found = (path.relative_to(folder) for path in folder.rglob("*.yaml"))
    return sorted(str(path) for path in found if path.parts[0] != "system")
