"""One schema a kind of content: frozen pydantic models that refuse what they do not know."""

from __future__ import annotations

import pydantic


class Model(pydantic.BaseModel):
    """Base of every schema."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)
