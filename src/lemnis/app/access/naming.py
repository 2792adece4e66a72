"""Whom texts name that are no entities: authors, and addresses in what gates and scanners say. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from email.utils import parseaddr

_SHORTEST = 3
_ADDRESS = re.compile(r"(?<![\w.+-])[\w+-][\w.+-]*@(?:[\w-]+\.)+[A-Za-z]{2,}(?![\w:])")
"""An e-mail address, and no place of a repository (``git@host:path``) or version (``name@1.2``)."""


def author(text: str) -> set[str]:
    """Return who ``Name <address>`` is, as entities of people.

    The address alone is what stands for them elsewhere. Names too short to be found within a text (as of
    two characters in Chinese) are hidden with all that stands around them.
    """
    name, address = parseaddr(text)
    whole = text.strip() if not address or 0 < len(name) < _SHORTEST else ""
    return {f"person:{one}" for one in (whole, name, address) if one}


def addressed(texts: Iterable[str]) -> set[str]:
    """Return everybody whose address stands in these texts, as entities of people."""
    return {f"person:{one}" for text in texts for one in _ADDRESS.findall(text)}


def texts(document: object) -> Iterator[str]:
    """Yield every text in a document, wherever it stands."""
    if isinstance(document, str):
        yield document
    elif isinstance(document, Mapping):
        for one in document.values():
            yield from texts(one)
    elif isinstance(document, Sequence):
        for one in document:
            yield from texts(one)
