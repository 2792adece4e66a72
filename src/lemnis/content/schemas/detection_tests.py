"""``tests.yml`` beside a rule: samples that must and must not make it fire."""

from __future__ import annotations

import pydantic

from lemnis.content.schemas import Model


class Case(Model):
    """One sample: a file of raw records of a source, and whether the rule fires on it."""

    name: str = pydantic.Field(min_length=1)
    source: str = pydantic.Field(min_length=1)
    given: str = pydantic.Field(pattern=r"^[\w-][\w./-]*$")
    fires: bool

    @pydantic.field_validator("given")
    @classmethod
    def _inside(cls, value: str) -> str:
        if ".." in value.split("/"):
            raise ValueError("a sample lies in the detection's own folder")
        return value


class Tests(pydantic.RootModel[tuple[Case, ...]]):
    """The whole file: at least one case."""

    root: tuple[Case, ...] = pydantic.Field(min_length=1)
