"""Prevent: the kinds of cause that a gate can be drawn against, and which of them a trace shows.

A closed set, in order: what says most of the cause comes first. An incident can have several causes, so all
that are recognised are returned. If none is, each kind says what it misses, and no gate is invented.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from lemnis.lessons.prevent import (
    attestation,
    base_image,
    flow,
    package,
    pattern,
    permission,
    secret,
    setting,
    workflow,
)
from lemnis.lessons.prevent.base import Drawn, Kind, Traced

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        package.NAME: package.recognise,
        secret.NAME: secret.recognise,
        workflow.NAME: workflow.recognise,
        permission.NAME: permission.recognise,
        flow.NAME: flow.recognise,
        base_image.NAME: base_image.recognise,
        attestation.NAME: attestation.recognise,
        setting.NAME: setting.recognise,
        pattern.NAME: pattern.recognise,
    }
)


@dataclass(frozen=True, slots=True)
class Prevention:
    """What was traced, the gates drawn from it, the first that which says most; what other kinds miss."""

    traced: Traced
    drawn: tuple[Drawn, ...]
    missing: Mapping[str, str]


def draw(traced: Traced, name: str) -> Prevention:
    """Ask every kind; ``name`` is what the lesson's gate is called in the content."""
    said = {kind: recognise(traced, name) for kind, recognise in KINDS.items()}
    wide = said[setting.NAME]
    for kind, one in said.items():
        if not isinstance(one, Drawn) or not isinstance(wide, Drawn) or kind == setting.NAME:
            continue
        if wide.check is None and wide.example == one.example:  # the same finding, told in more words
            said[setting.NAME] = f"the finding tells of a {kind}"
    drawn = tuple(one for one in said.values() if isinstance(one, Drawn))
    return Prevention(traced, drawn, {kind: one for kind, one in said.items() if isinstance(one, str)})


__all__ = ["KINDS", "Drawn", "Prevention", "Traced", "draw"]
