"""Configuration: default.yml, then local.env.yml, then the environment

`python -m authentik.lib.config` prints all of it, `python -m authentik.lib.config postgresql.host` one value.
"""

from collections.abc import Mapping
from json import dumps
from os import environ
from pathlib import Path
from sys import argv
from typing import Any
from urllib.parse import urlsplit

from deepmerge import always_merger
from yaml import safe_load

ENV_PREFIX = "AUTHENTIK_"
# Read by the blueprint system/bootstrap.yaml, taken literally, and no part of the configuration.
ENV_NOT_CONFIG = "AUTHENTIK_BOOTSTRAP_"
FILES = (Path(__file__).parent / "default.yml", Path("local.env.yml"))
TRUE = {"1", "true", "t", "yes", "y", "on"}


def resolve(value: Any, env: Mapping[str, str]) -> Any:
    """Follow env://NAME?default and file:///path?default."""
    if isinstance(value, dict):
        return {key: resolve(inner, env) for key, inner in value.items()}
    if not isinstance(value, str) or "://" not in value:
        return value
    url = urlsplit(value)
    if url.scheme == "env":
        return env.get(url.netloc, url.query)
    if url.scheme == "file":
        try:
            return Path(url.path).read_text(encoding="utf-8").strip()
        except OSError:
            return url.query
    return value


def from_env(env: Mapping[str, str]) -> dict:
    """AUTHENTIK_A__B=c as {"a": {"b": "c"}}"""
    found: dict = {}
    for name, value in sorted(env.items()):
        if not name.startswith(ENV_PREFIX) or name.startswith(ENV_NOT_CONFIG):
            continue
        *parents, last = name.removeprefix(ENV_PREFIX).lower().split("__")
        place = found
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise ValueError(f"{name}: {parent} is a value already")
        place[last] = value
    return found


class Config:
    """All values, by dotted names"""

    def __init__(self, env: Mapping[str, str] = environ, files: tuple[Path, ...] = FILES) -> None:
        values: dict = {}
        for file in files:
            if file.is_file():
                always_merger.merge(values, safe_load(file.read_text(encoding="utf-8")) or {})
        always_merger.merge(values, from_env(env))
        self.values = resolve(values, env)

    def get(self, path: str, default: Any = None) -> Any:
        """The value as it is: text, where it came from the environment"""
        place: Any = self.values
        for key in path.split("."):
            if not isinstance(place, dict) or key not in place:
                return default
            place = place[key]
        return place

    def get_int(self, path: str, default: int = 0) -> int:
        """The value as a number; ValueError names the path"""
        value = self.get(path, default)
        try:
            return int(value)
        except (TypeError, ValueError) as exc:
            raise ValueError(f"{path}: {value!r} is no number") from exc

    def get_bool(self, path: str, default: bool = False) -> bool:
        """The value as yes or no"""
        return str(self.get(path, default)).strip().lower() in TRUE


CONFIG = Config()

if __name__ == "__main__":
    chosen = CONFIG.get(argv[1]) if len(argv) > 1 else CONFIG.values
    print(dumps(chosen, indent=4, sort_keys=True) if isinstance(chosen, dict) else chosen)
