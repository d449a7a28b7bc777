"""Configuration"""

from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import TestCase

from authentik.lib.config import FILES, Config, from_env

DEFAULTS = FILES[:1]


class TestConfig(TestCase):
    """Configuration"""

    def test_default(self):
        """Everything has a default"""
        config = Config({}, DEFAULTS)
        self.assertEqual(config.get_int("postgresql.port"), 5432)
        self.assertEqual(config.get("postgresql.password"), "")
        self.assertFalse(config.get_bool("error_reporting.enabled"))
        self.assertEqual(config.get("not.there", "default"), "default")

    def test_env(self):
        """The environment wins, and leaves its neighbours alone"""
        config = Config({"AUTHENTIK_POSTGRESQL__HOST": "db", "HOST": "no"}, DEFAULTS)
        self.assertEqual(config.get("postgresql.host"), "db")
        self.assertEqual(config.get("postgresql.name"), "authentik")

    def test_bootstrap_is_no_configuration(self):
        """A password that looks like a URL is a password"""
        self.assertEqual(from_env({"AUTHENTIK_BOOTSTRAP_PASSWORD": "env://HOME"}), {})

    def test_urls(self):
        """env:// and file://, with and without default"""
        with TemporaryDirectory() as folder:
            Path(folder, "secret").write_text("s3cret\n", encoding="utf-8")
            config = Config(
                {
                    "AUTHENTIK_A": "env://OTHER",
                    "AUTHENTIK_B": "env://MISSING?instead",
                    "AUTHENTIK_C": f"file://{folder}/secret",
                    "AUTHENTIK_D": f"file://{folder}/missing?instead",
                    "AUTHENTIK_E": "https://stays.example",
                    "OTHER": "value",
                },
                (),
            )
        self.assertEqual(
            [config.get(name) for name in "abcde"],
            ["value", "instead", "s3cret", "instead", "https://stays.example"],
        )

    def test_conflict(self):
        """A name that is a value can't be a group too"""
        with self.assertRaisesRegex(ValueError, "AUTHENTIK_A__B"):
            from_env({"AUTHENTIK_A": "1", "AUTHENTIK_A__B": "2"})

    def test_no_number(self):
        """The message says which value"""
        with self.assertRaisesRegex(ValueError, "postgresql.port: 'x'"):
            Config({"AUTHENTIK_POSTGRESQL__PORT": "x"}, DEFAULTS).get_int("postgresql.port")
