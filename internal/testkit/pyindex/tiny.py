"""A build backend of a few lines for tests: what goes into the wheel lies in the source, below `wheel/`."""
import base64
import hashlib
import os
import tomllib
import zipfile


def _project():
    with open("pyproject.toml", "rb") as f:
        return tomllib.load(f)["project"]


def _pack(dist, files):
    project = _project()
    stem = f"{project['name'].replace('-', '_')}-{project['version']}"
    info = stem + ".dist-info"
    meta = [f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"]
    meta += [f"Requires-Dist: {line}\n" for line in project.get("dependencies", [])]
    files[info + "/METADATA"] = "".join(meta).encode()
    files[info + "/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: tiny\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    if scripts := project.get("scripts"):
        lines = [f"{k} = {scripts[k]}\n" for k in sorted(scripts)]
        files[info + "/entry_points.txt"] = ("[console_scripts]\n" + "".join(lines)).encode()
    record = ""
    name = stem + "-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(dist, name), "w") as out:
        for path in sorted(files):
            entry = zipfile.ZipInfo(path)
            entry.external_attr = (0o100755 if files[path].startswith(b"#!") else 0o100644) << 16
            out.writestr(entry, files[path])
            digest = base64.urlsafe_b64encode(hashlib.sha256(files[path]).digest()).rstrip(b"=").decode()
            record += f"{path},sha256={digest},{len(files[path])}\n"
        out.writestr(info + "/RECORD", record + info + "/RECORD,,\n")
    return name


def build_wheel(dist, config_settings=None, metadata_directory=None):
    files = {}
    for root, _, names in os.walk("wheel"):
        for name in names:
            path = os.path.join(root, name)
            with open(path, "rb") as f:
                files[os.path.relpath(path, "wheel")] = f.read()
    return _pack(dist, files)


def build_editable(dist, config_settings=None, metadata_directory=None):
    name = _project()["name"].replace("-", "_")
    return _pack(dist, {f"_{name}.pth": os.path.abspath("wheel").encode() + b"\n"})


def build_sdist(dist, config_settings=None):
    raise NotImplementedError
