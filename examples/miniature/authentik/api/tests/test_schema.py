"""The description of the API"""

from io import StringIO
from unittest import skipUnless

from django.core.management import call_command
from django.test import SimpleTestCase
from yaml import safe_load

from authentik.api.management.commands.build_schema import FILE, schema


class TestSchema(SimpleTestCase):
    """The description of the API"""

    def test_operations(self):
        """What the web interface and the Go server call by name"""
        paths = safe_load(schema())["paths"]
        operations = {
            operation["operationId"] for path in paths.values() for operation in path.values()
        }
        self.assertLessEqual(
            {"root_config_retrieve", "core_login_create", "core_applications_check_create"},
            operations,
        )
        self.assertEqual(len(operations), 14)

    @skipUnless(FILE.exists(), "only in a work tree")
    def test_committed(self):
        """schema.yml is what the code says"""
        call_command("build_schema", check=True, stdout=StringIO())
