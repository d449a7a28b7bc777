"""What the worker does with blueprints"""

from django_postgres_queue import actor

from authentik.blueprints.importer import apply_file, discover
from authentik.events.logs import log


@actor(description="Apply a blueprint")
def apply_blueprint(path: str) -> None:
    """Apply a blueprint"""
    apply_file(path)
    log(f"{path} applied")


@actor(description="Apply all blueprints")
def blueprints_discovery() -> None:
    """One task for each file, so that a broken one does not keep back the others"""
    for path in discover():
        apply_blueprint.send_with(args=[path], description=f"Apply {path}")
        log(f"{path} found")
