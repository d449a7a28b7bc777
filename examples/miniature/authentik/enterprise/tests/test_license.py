"""Licenses"""

from unittest import TestCase

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from authentik.enterprise.license import is_enterprise, verify


class TestLicense(TestCase):
    """Licenses"""

    def test_signature(self):
        """Only what was signed is accepted"""
        key = Ed25519PrivateKey.from_private_bytes(bytes(32))
        public = key.public_key().public_bytes_raw()
        signature = key.sign(b"ten users")
        self.assertTrue(verify(signature, b"ten users", public))
        self.assertFalse(verify(signature, b"ten thousand users", public))
        self.assertFalse(verify(signature, b"ten users"))

    def test_none(self):
        """No file, no license"""
        self.assertFalse(is_enterprise())
