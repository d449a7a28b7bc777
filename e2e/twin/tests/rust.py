"""Calls into the packages with Rust inside, which were compiled here."""

import importlib.metadata as metadata

import kadmin
from cryptography.fernet import Fernet
from cryptography.hazmat.backends.openssl import backend
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

key = ec.generate_private_key(ec.SECP256R1())
key.public_key().verify(key.sign(b"text", ec.ECDSA(hashes.SHA256())), b"text", ec.ECDSA(hashes.SHA256()))
f = Fernet(Fernet.generate_key())
assert f.decrypt(f.encrypt(b"text")) == b"text"
print("cryptography", metadata.version("cryptography"), "with", backend.openssl_version_text())

# There is no realm here: what counts is that the call reaches the library and comes back as an error of its own.
try:
    kadmin.KAdmin.with_password("nobody", "none")
except Exception as error:
    print("kadmin", metadata.version("python-kadmin-rs"), "says", type(error).__name__)
else:
    raise SystemExit("kadmin logged in without a realm")

for name in ("cryptography", "python-kadmin-rs"):
    tag = next(line for line in metadata.distribution(name).read_text("WHEEL").splitlines() if line.startswith("Tag:"))
    print(name, tag)
    assert "manylinux" not in tag, "it was not compiled here"
