"""How a blueprint is written: YAML, with the tags !Env, !Context and !Find"""

from collections.abc import Mapping
from enum import StrEnum
from os import environ
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from yaml import SafeLoader, ScalarNode, SequenceNode
from yaml import load as load_yaml


class Tag:
    """A value that is only known when the blueprint is applied"""

    def __init__(self, loader: SafeLoader, node: ScalarNode | SequenceNode) -> None:
        value = (
            loader.construct_sequence(node, deep=True)
            if isinstance(node, SequenceNode)
            else [loader.construct_scalar(node)]
        )
        self.args: list[Any] = value

    def resolve(self, context: Mapping[str, Any]) -> Any:
        raise NotImplementedError


class Env(Tag):
    """!Env NAME, or !Env [NAME, default]"""

    def resolve(self, context: Mapping[str, Any]) -> Any:
        return environ.get(self.args[0]) or (self.args[1] if len(self.args) > 1 else None)


class Context(Tag):
    """!Context NAME, or !Context [NAME, default]"""

    def resolve(self, context: Mapping[str, Any]) -> Any:
        return context.get(self.args[0], self.args[1] if len(self.args) > 1 else None)


class Find(Tag):
    """!Find [app.model, [field, value]]: an object that exists"""

    def resolve(self, context: Mapping[str, Any]) -> Any:
        from django.apps import apps

        model, *pairs = self.args
        wanted = {name: resolve(value, context) for name, value in pairs}
        return apps.get_model(model).objects.get(**wanted)


class Loader(SafeLoader):
    """YAML with our tags"""


for _tag in (Env, Context, Find):
    Loader.add_constructor(f"!{_tag.__name__}", _tag)


def resolve(value: Any, context: Mapping[str, Any]) -> Any:
    """Replace tags, however deep, by what they stand for."""
    if isinstance(value, Tag):
        return resolve(value.resolve(context), context)
    if isinstance(value, dict):
        return {key: resolve(inner, context) for key, inner in value.items()}
    if isinstance(value, list):
        return [resolve(inner, context) for inner in value]
    return value


class State(StrEnum):
    """What is to be done with an object"""

    PRESENT = "present"  # create or change
    CREATED = "created"  # create; leave alone what exists
    ABSENT = "absent"


class Strict(BaseModel):
    """A misspelt key is an error"""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)


class Entry(Strict):
    """An object"""

    model: str
    state: State = State.PRESENT
    conditions: list[Any] = Field(default_factory=list)
    identifiers: dict[str, Any]
    attrs: dict[str, Any] = Field(default_factory=dict)


class Metadata(Strict):
    """For people"""

    name: str
    labels: dict[str, str] = Field(default_factory=dict)


class Blueprint(Strict):
    """A file"""

    version: int = Field(ge=1, le=1)
    metadata: Metadata
    context: dict[str, Any] = Field(default_factory=dict)
    entries: list[Entry]


def parse(text: str) -> Blueprint:
    """Raises yaml.YAMLError or pydantic.ValidationError"""
    return Blueprint.model_validate(load_yaml(text, Loader))  # nosec: Loader is a SafeLoader
