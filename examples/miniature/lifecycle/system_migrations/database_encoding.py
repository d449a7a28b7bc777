"""Refuses a database that can't hold all text"""

from lifecycle.migrate import BaseMigration


class Migration(BaseMigration):
    """UTF-8, nothing else: better now than with the first name that does not fit"""

    def needs_migration(self) -> bool:
        return self._encoding() != "UTF8"

    def run(self) -> None:
        raise SystemExit(f"The database's encoding is {self._encoding()}; authentik needs UTF8.")

    def _encoding(self) -> str:
        return self.connection.execute("SHOW server_encoding").fetchone()[0]
