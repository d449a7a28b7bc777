"""E-mail"""

from io import StringIO

from django.core import mail
from django.core.management import call_command
from django.test import SimpleTestCase


class TestEmail(SimpleTestCase):
    """E-mail"""

    def test_logo(self):
        """The logo is read from the working directory, and sent along"""
        call_command("test_email", "jane@localhost.example", stdout=StringIO())
        (message,) = mail.outbox
        logo = message.attachments[0]
        self.assertEqual(logo["Content-ID"], "<logo>")
        self.assertTrue(logo.get_payload(decode=True).startswith(b"\x89PNG"))
        self.assertIn("cid:logo", message.alternatives[0].content)
