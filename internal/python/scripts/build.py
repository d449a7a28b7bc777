"""Runs one PEP 517 or PEP 660 hook of a build backend: build.py MODE BACKEND DIST [BACKEND-PATH...], in the source."""
import importlib
import importlib.metadata
import os
import re
import sys

mode, backend, dist, *paths = sys.argv[1:]
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
lacking = [r for r in requires() if missing(r)] if requires else []
if lacking:
    sys.exit(
        "hewn: the build backend asks for more than its pyproject.toml says: "
        + ", ".join(lacking)
        + "\nhewn: hint: name them in the recipe's build_requires, then run `hewn update --missing`"
    )
build = getattr(hooks, f"build_{mode}", None)
if build is None:
    sys.exit(f"hewn: the build backend {backend!r} cannot build an {mode}")
os.makedirs(dist)
print("hewn: built", build(dist))
