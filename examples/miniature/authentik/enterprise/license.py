"""Whether there is a license: a file that the owner of this key signed"""

from base64 import b64decode
from binascii import Error
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from authentik.lib.config import CONFIG

# The miniature sells nothing: the other half of this key was thrown away.
PUBLIC_KEY = bytes.fromhex("b6ae7586e6f2768922ec1ff0c61ea996e1253977126bd0245c941e7744dabcbe")


def verify(signature: bytes, message: bytes, public_key: bytes = PUBLIC_KEY) -> bool:
    """Whether the key's owner signed the message"""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def is_enterprise() -> bool:
    """The file's first line is a signature in base64 of all that follows."""
    path = CONFIG.get("enterprise.license")
    if not path or not Path(path).is_file():
        return False
    signature, _, message = Path(path).read_bytes().partition(b"\n")
    try:
        return verify(b64decode(signature, validate=True), message)
    except Error:
        return False
