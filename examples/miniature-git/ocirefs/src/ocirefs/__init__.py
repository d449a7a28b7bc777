"""References to container images, as the OCI distribution specification writes them."""

import re
from dataclasses import dataclass

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    r"(?:(?P<host>[a-zA-Z0-9.-]+(?:\.[a-zA-Z0-9-]+|:[0-9]+|(?<=localhost))(?::[0-9]+)?)/)?"
    rf"(?P<name>{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?"
    r"(?:@(?P<digest>[a-z0-9+._-]+:[a-fA-F0-9]{32,}))?"
)


class InvalidReference(ValueError):
    """The text is no reference to an image."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference, in its parts. `host` is empty where the text names none."""

    host: str
    name: str
    tag: str
    digest: str

    def __str__(self) -> str:
        text = f"{self.host}/{self.name}" if self.host else self.name
        if self.tag:
            text += f":{self.tag}"
        return f"{text}@{self.digest}" if self.digest else text


def parse(text: str) -> Reference:
    """Split a reference; raises InvalidReference."""
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise InvalidReference(text)
    parts = match.groupdict(default="")
    return Reference(parts["host"], parts["name"], parts["tag"], parts["digest"])
