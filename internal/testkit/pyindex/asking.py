"""A build backend for tests that asks for more when its hook is called: `asks` of [tool.asking]. It packs as tiny does, and
puts beside it the modules that `copies` names, as the build finds them, so that one sees what was installed for it."""
import importlib.util
import os
import tomllib

import tiny


def _settings():
    with open("pyproject.toml", "rb") as f:
        return tomllib.load(f)["tool"]["asking"]


def _copies():
    files = {}
    for name in _settings().get("copies", []):
        with open(importlib.util.find_spec(name).origin, "rb") as f:
            files[f"{tiny._project()['name']}_has_{name}.py"] = f.read()
    return files


def get_requires_for_build_wheel(config_settings=None):
    return _settings()["asks"]


get_requires_for_build_editable = get_requires_for_build_wheel


def build_wheel(dist, config_settings=None, metadata_directory=None):
    for path, content in _copies().items():
        with open(os.path.join("wheel", path), "wb") as f:
            f.write(content)
    return tiny.build_wheel(dist)


def build_editable(dist, config_settings=None, metadata_directory=None):
    name = tiny._project()["name"].replace("-", "_")
    return tiny._pack(dist, {f"_{name}.pth": os.path.abspath("wheel").encode() + b"\n", **_copies()})
