"""Brings the database up to date: `python -m lifecycle.migrate`

First lifecycle/system_migrations/*.py, for what has to happen before Django looks at the database, then Django's own
migrations. All of it under an advisory lock: server and worker may start at the same time.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from inspect import getmembers, isclass
from pathlib import Path
from time import monotonic, sleep

from psycopg import Connection, OperationalError, connect
from structlog.stdlib import get_logger

from authentik.lib.config import CONFIG
from authentik.lib.logging import level_name, setup

LOGGER = get_logger()
ADVISORY_LOCK = 0x61757468  # "auth"
WAIT_SECONDS = 60


class BaseMigration:
    """Something to be done before Django's migrations. Must be safe to run on every start."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def needs_migration(self) -> bool:
        """Whether there is something to do"""
        return False

    def run(self) -> None:
        """Do it. A failure ends the start."""


def wait_for_postgres() -> Connection:
    """A connection, as soon as PostgreSQL answers"""
    deadline = monotonic() + WAIT_SECONDS
    while True:
        try:
            connection = connect(
                host=CONFIG.get("postgresql.host"),
                port=CONFIG.get_int("postgresql.port"),
                dbname=CONFIG.get("postgresql.name"),
                user=CONFIG.get("postgresql.user"),
                password=CONFIG.get("postgresql.password"),
                autocommit=True,
                connect_timeout=5,
            )
        except OperationalError as exc:
            if monotonic() > deadline:
                raise
            LOGGER.info("PostgreSQL is not ready", exc=str(exc).strip())
            sleep(1)
        else:
            LOGGER.info("PostgreSQL connection successful")
            return connection


@contextmanager
def advisory_lock(connection: Connection) -> Iterator[None]:
    """One process at a time; PostgreSQL gives it back if this one dies."""
    connection.execute("SELECT pg_advisory_lock(%s)", [ADVISORY_LOCK])
    try:
        yield
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", [ADVISORY_LOCK])


def system_migrations() -> Iterator[type[BaseMigration]]:
    """Those of lifecycle/system_migrations, in the order of their file names"""
    for file in sorted((Path(__file__).parent / "system_migrations").glob("*.py")):
        spec = spec_from_file_location(f"lifecycle.system_migrations.{file.stem}", file)
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        for _, found in getmembers(module, isclass):
            if found.__module__ == module.__name__ and found.__name__ == "Migration":
                yield found


def run_migrations() -> None:
    """Everything, once"""
    setup(level_name(CONFIG.get("log_level")))
    with wait_for_postgres() as connection, advisory_lock(connection):
        for migration in system_migrations():
            instance = migration(connection)
            if instance.needs_migration():
                LOGGER.info("Running system migration", migration=migration.__module__)
                instance.run()
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "authentik.root.settings")
        import django
        from django.core.management import call_command
        from django.db import connection as django_connection
        from django.db import connections
        from django.db.migrations.executor import MigrationExecutor

        django.setup()
        executor = MigrationExecutor(django_connection)
        # Django's command takes a second even where there is nothing to do.
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            LOGGER.info("Running migrations")
            call_command("migrate", interactive=False, verbosity=0)
        # The caller may fork; what it needs it opens itself.
        connections.close_all()
    LOGGER.info("Finished authentik bootstrap")


if __name__ == "__main__":
    run_migrations()
