"""What an error says of what was typed: it stays as it was typed, and everybody else is hidden."""

from __future__ import annotations

import re

from starlette.requests import Request

from lemnis.contracts.errors import ContentError, InputError, LemnisError
from lemnis.interfaces.web import words

_SHORTEST = 3
"""What is shorter is no name that is hidden."""


def unechoed(request: Request, error: LemnisError, text: str) -> str:
    """Return what an error says without people; what was typed stays, or a guess would be told to be right.

    That is of errors about what was given; others have what they name from elsewhere.
    """
    if not isinstance(error, InputError) or isinstance(error, ContentError):
        return text
    form = getattr(request.state, "form", None) or {}
    given = {*map(str, request.path_params.values()), *request.query_params.values(), *form.values()}
    typed = sorted((one for one in given if len(one) >= _SHORTEST), key=lambda one: -len(one))
    if not typed:
        return text
    parts = re.split(f"({'|'.join(map(re.escape, typed))})", text)
    return words.Ours("".join(part if n % 2 else words.masked(part) for n, part in enumerate(parts)))
