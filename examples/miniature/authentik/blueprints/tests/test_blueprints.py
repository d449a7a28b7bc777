"""Blueprints"""

from os import environ
from unittest.mock import patch

from django.core.management import CommandError, call_command
from django.test import TestCase
from pydantic import ValidationError

from authentik.blueprints.document import parse
from authentik.blueprints.importer import apply, apply_file, discover
from authentik.blueprints.models import BlueprintInstance
from authentik.core.models import Application, Token, User

BOOTSTRAP = "system/bootstrap.yaml"
HEAD = "version: 1\nmetadata: {name: test}\nentries:\n"


class TestBlueprints(TestCase):
    """Blueprints"""

    def test_all(self):
        """Every blueprint of the folder can be applied, twice"""
        self.assertEqual(discover(), ["default/applications.yaml", "default/brand.yaml"])
        for path in discover() * 2:
            apply_file(path)
        self.assertTrue(Application.objects.filter(slug="welcome").exists())
        self.assertEqual(BlueprintInstance.objects.filter(status="successful").count(), 2)

    def test_bootstrap(self):
        """The first user, from the environment, once"""
        env = {
            "AUTHENTIK_BOOTSTRAP_PASSWORD": "first",
            "AUTHENTIK_BOOTSTRAP_TOKEN": "t0ken",
            "AUTHENTIK_BOOTSTRAP_EMAIL": "admin@localhost.example",
        }
        with patch.dict(environ, env):
            call_command("apply_blueprint", BOOTSTRAP)
        with patch.dict(environ, env | {"AUTHENTIK_BOOTSTRAP_PASSWORD": "second"}):
            call_command("apply_blueprint", BOOTSTRAP)
        user = User.objects.get(username="akadmin")
        self.assertTrue(user.check_password("first"))
        self.assertEqual(user.email, "admin@localhost.example")
        self.assertTrue(user.is_superuser)
        self.assertEqual(Token.objects.get().key, "t0ken")

    def test_bootstrap_without_token(self):
        """A condition that does not hold skips its entry"""
        with patch.dict(environ, {"AUTHENTIK_BOOTSTRAP_PASSWORD": "first"}):
            environ.pop("AUTHENTIK_BOOTSTRAP_TOKEN", None)
            apply_file(BOOTSTRAP)
        self.assertFalse(Token.objects.exists())

    def test_states(self):
        """present changes, created does not, absent deletes"""
        entry = "- {model: authentik_core.application, state: %s, identifiers: {slug: a}, attrs: {name: %s}}"
        for state, name in (("created", "one"), ("created", "two"), ("present", "three")):
            apply(parse(HEAD + entry % (state, name)))
            expected = "three" if state == "present" else "one"
            self.assertEqual(Application.objects.get().name, expected)
        apply(parse(HEAD + entry % ("absent", "")))
        self.assertFalse(Application.objects.exists())

    def test_wrong(self):
        """Misspelt keys, other applications' models and paths outside are errors"""
        with self.assertRaises(ValidationError):
            parse(HEAD + "- {model: authentik_core.user, identifers: {}}")
        with self.assertRaisesRegex(ValueError, "can't be set"):
            apply(parse(HEAD + "- {model: authentik_events.task, identifiers: {actor_name: a}}"))
        with self.assertRaisesRegex(CommandError, "lies outside"):
            call_command("apply_blueprint", "../manage.py")

    def test_all_or_nothing(self):
        """A broken entry takes the others with it"""
        good = "- {model: authentik_core.application, identifiers: {slug: a}, attrs: {name: a}}\n"
        bad = "- {model: authentik_core.application, identifiers: {slug: b b}, attrs: {name: b}}\n"
        with self.assertRaises(ValueError):
            apply(parse(HEAD + good + bad))
        self.assertFalse(Application.objects.exists())
