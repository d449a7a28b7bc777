"""What the worker does with applications"""

from django.test import SimpleTestCase
from lxml.etree import DocumentInvalid

from authentik import authentik_version
from authentik.core.models import Application
from authentik.core.tasks import application_document, outpost_image, validate


class TestCheck(SimpleTestCase):
    """The check of an application"""

    def test_document(self):
        """The schema in /schemas tells good from bad"""
        validate(application_document(Application(name="Wiki", slug="wiki")))
        with self.assertRaises(DocumentInvalid):
            validate(application_document(Application(name="Wiki", slug="not a slug")))

    def test_image(self):
        """The version is the image's tag"""
        image = outpost_image("proxy")
        self.assertEqual((image.name, image.tag), ("proxy", authentik_version()))
