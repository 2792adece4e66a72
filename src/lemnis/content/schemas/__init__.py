"""One schema a kind of content: frozen pydantic models that refuse what they do not know."""

from __future__ import annotations

from typing import Annotated

import pydantic
import re2


def _compiles(value: str) -> str:
    try:
        re2.compile(value)
    except re2.error as error:
        raise ValueError(f"not an RE2 expression: {error}") from error
    return value


Expression = Annotated[str, pydantic.AfterValidator(_compiles)]
"""A regular expression in linear time."""


class Model(pydantic.BaseModel):
    """Base of every schema."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)
