"""authentik, as a miniature"""

from functools import lru_cache
from os import environ

VERSION = "2026.2.0"
ENV_GIT_HASH_KEY = "GIT_BUILD_HASH"


@lru_cache
def authentik_version() -> str:
    """The version alone"""
    return VERSION


@lru_cache
def authentik_build_hash(fallback: str = "") -> str:
    """The commit that this was built from, where the build said so"""
    return environ.get(ENV_GIT_HASH_KEY) or fallback


@lru_cache
def authentik_full_version() -> str:
    """Version and commit. The files of the web interface carry the same string in their names."""
    build_hash = authentik_build_hash()
    return f"{VERSION}+{build_hash}" if build_hash else VERSION
