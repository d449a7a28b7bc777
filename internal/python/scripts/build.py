"""Runs one PEP 517 or PEP 660 hook of a build backend: build.py HOOK BACKEND OUT SET [BACKEND-PATH...], in the source.

HOOK is `wheel` or `editable`: OUT is the directory for the wheel. Or `requires-wheel`, `requires-editable`: OUT is the
file for what the backend asks for, one requirement a line. SET is the name in sources.lock.
"""
import importlib
import importlib.metadata
import os
import re
import sys

hook, backend, out, pins, *paths = sys.argv[1:]
mode = hook.removeprefix("requires-")
source = os.getcwd()
for entry in reversed(paths):
    full = os.path.realpath(os.path.join(source, entry))
    if full != source and not full.startswith(source + os.sep):
        sys.exit(f"hewn: backend-path {entry!r} lies outside the source")
    sys.path.insert(0, full)

module, _, attributes = backend.partition(":")
try:
    hooks = importlib.import_module(module)
    for name in filter(None, attributes.split(".")):
        hooks = getattr(hooks, name)
except ImportError as error:
    sys.exit(f"hewn: the build backend {backend!r} cannot be imported: {error}")


def missing(requirement):
    """Whether a requirement is not installed. Versions are the resolver's business; conditions are not evaluated."""
    if ";" in requirement:
        return False
    name = re.match(r"\s*([A-Za-z0-9._-]+)", requirement)
    try:
        importlib.metadata.distribution(name.group(1))
    except importlib.metadata.PackageNotFoundError:
        return True
    return False


requires = getattr(hooks, f"get_requires_for_build_{mode}", None)
asked = [" ".join(r.split()) for r in (requires() if requires else [])]
if hook != mode:
    os.makedirs(os.path.dirname(out), exist_ok=True)
    with open(out, "w", encoding="utf-8") as f:
        f.writelines(r + "\n" for r in sorted(set(asked)))
    sys.exit()
lacking = [r for r in asked if missing(r)]
if lacking:
    sys.exit(
        "hewn: the build backend asks for more than sources.lock pins for it: "
        + ", ".join(lacking)
        + f"\nhewn: hint: ask it again: `hewn update . {pins}`; what it asks for by chance belongs into the recipe's build_requires"
    )
build = getattr(hooks, f"build_{mode}", None)
if build is None:
    sys.exit(f"hewn: the build backend {backend!r} cannot build an {mode}")
os.makedirs(out)
print("hewn: built", build(out))
