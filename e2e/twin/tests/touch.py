"""Uses what pyproject.toml names: imports every top-level module of every direct dependency, and calls into native ones.

Prints one line a module, and a report of what failed; exits with 1 if anything did.
"""

import importlib
import importlib.metadata as metadata
import re
import sys
import tomllib
import traceback
from pathlib import Path

# Packages whose modules need more than Python: what they need is said beside them.
PARTS = {
    "django-tenants": ["django_tenants.utils"],
    "djangoql": ["djangoql.parser"],
    "google-api-python-client": ["googleapiclient.discovery"],
    "kubernetes": ["kubernetes.client"],
    "msgraph-sdk": ["msgraph.graph_service_client"],
    "psycopg": ["psycopg", "psycopg_c", "psycopg_pool"],
    "uvicorn": ["uvicorn", "uvloop", "httptools", "websockets"],
}


def direct(project: Path) -> list[str]:
    """The names of the direct dependencies."""
    with project.open("rb") as f:
        wanted = tomllib.load(f)["project"]["dependencies"]
    return [re.match(r"[\w.-]+", d).group() for d in wanted]


def modules(name: str) -> list[str]:
    """The top-level modules that a distribution brings, by its list of files."""
    found = {}
    for file in metadata.files(name) or []:
        top, *below = file.parts
        if below and top.isidentifier() and below[-1].endswith((".py", ".so")):
            found[top] = None
        elif not below and file.suffix in (".py", ".so") and not top.startswith("__editable__"):
            found[top.split(".")[0]] = None
        elif not below and file.suffix == ".pth":
            for line in file.locate().read_text().splitlines():
                if line.startswith("/"):
                    found |= dict.fromkeys(p.parent.name for p in Path(line).glob("*/__init__.py"))
    ignored = {"tests", "test", "examples", "docs", "scripts", "benchmarks"}
    return [m for m in found if m not in ignored and not m.startswith("_")] or list(found)


def native_lxml() -> str:
    from lxml import etree

    transform = etree.XSLT(
        etree.XML(
            '<x:stylesheet version="1.0" xmlns:x="http://www.w3.org/1999/XSL/Transform">'
            '<x:template match="/"><b><x:value-of select="/a"/></b></x:template></x:stylesheet>'
        )
    )
    assert str(etree.tostring(transform(etree.XML("<a>c</a>"))), "ascii") == "<b>c</b>"
    return "libxml2 " + ".".join(map(str, etree.LIBXML_VERSION))


def native_xmlsec() -> str:
    import xmlsec
    from lxml import etree

    root = etree.XML("<a><b>text</b></a>")
    signature = xmlsec.template.create(root, xmlsec.Transform.EXCL_C14N, xmlsec.Transform.HMAC_SHA256)
    root.append(signature)
    reference = xmlsec.template.add_reference(signature, xmlsec.Transform.SHA256)
    xmlsec.template.add_transform(reference, xmlsec.Transform.ENVELOPED)
    for action in ("sign", "verify"):
        made = xmlsec.SignatureContext()
        made.key = xmlsec.Key.from_binary_data(xmlsec.KeyData.HMAC, b"k" * 32)
        getattr(made, action)(signature)
    return "signed and verified"


def native_psycopg() -> str:
    import psycopg
    from psycopg import sql

    assert psycopg.pq.__impl__ == "c", psycopg.pq.__impl__
    assert sql.Identifier('a"b').as_string(None) == '"a""b"'
    return f"libpq {psycopg.pq.version()}"


def native_gssapi() -> str:
    import gssapi

    name = gssapi.Name("host@twin.example", gssapi.NameType.hostbased_service)
    assert str(name) == "host@twin.example"
    return f"{len(gssapi.raw.indicate_mechs())} mechanisms"


def native_cryptography() -> str:
    from cryptography.fernet import Fernet
    from cryptography.hazmat.backends.openssl import backend
    from cryptography.hazmat.primitives.asymmetric import ed25519

    box = Fernet(Fernet.generate_key())
    assert box.decrypt(box.encrypt(b"secret")) == b"secret"
    key = ed25519.Ed25519PrivateKey.generate()
    key.public_key().verify(key.sign(b"text"), b"text")
    return backend.openssl_version_text()


def native_kadmin() -> str:
    import kadmin

    return ", ".join(n for n in dir(kadmin) if not n.startswith("_"))


def main(project: Path) -> int:
    from django.conf import settings

    settings.configure(DATABASES={}, INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"], SECRET_KEY="twin")
    import django

    django.setup()
    failed = []

    def attempt(label, function):
        try:
            print(label, function() or "ok")
        except BaseException as e:
            failed.append(label)
            print(label, "FAILED:", "".join(traceback.format_exception_only(e)).strip())
            traceback.print_exc()

    for name in direct(project):
        for module in PARTS.get(name) or modules(name):
            attempt(f"{name}: {module}", lambda module=module: importlib.import_module(module) and None)
    for native in [native_lxml, native_xmlsec, native_psycopg, native_gssapi, native_cryptography, native_kadmin]:
        attempt(native.__name__.removeprefix("native_"), native)
    print(f"{len(failed)} failed: {', '.join(failed)}" if failed else "all used")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "/pyproject.toml")))
