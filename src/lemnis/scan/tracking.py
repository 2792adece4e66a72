"""What became of findings from one scan to the next: seen again, moved, new, gone. Pure.

A finding is known by its fingerprint, which holds the path. When a file is renamed, the fingerprint of what
was there goes and another comes: the two are one if tool, rule and code are the same and the old one is no
longer found. Of a tool that did not look, nothing has gone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from lemnis.contracts.findings import Finding


@dataclass(frozen=True, slots=True)
class Known:
    """What is kept of a finding: its fingerprint, who found it, what moves with it, where it was."""

    fingerprint: str
    tool: str
    context: str
    path: str
    open: bool


@dataclass(frozen=True, slots=True)
class Tracked:
    """One scan against what was known: fingerprints, and the places in the list of what is new.

    ``moved`` gives for the place of a finding the fingerprint that it had before; ``back`` are those that
    were gone and are there again.
    """

    again: tuple[str, ...]
    back: tuple[str, ...]
    moved: Mapping[int, str]
    new: tuple[int, ...]
    gone: tuple[str, ...]


def track(known: Sequence[Known], found: Sequence[Finding], looked: Collection[str]) -> Tracked:
    """Compare a scan with what was known of a resource; ``looked`` are the tools that really looked."""
    before = {one.fingerprint: one for one in known}
    now = {one.fingerprint for one in found}
    again = [name for name in now if name in before and before[name].open]
    back = [name for name in now if name in before and not before[name].open]
    gone = [one for one in known if one.open and one.fingerprint not in now and one.tool in looked]
    left: dict[str, list[Known]] = defaultdict(list)
    for one in gone:
        if one.context:
            left[one.context].append(one)
    moved: dict[int, str] = {}
    new = []
    seen = set()
    for place, finding in enumerate(found):
        if finding.fingerprint in before or finding.fingerprint in seen:
            continue
        seen.add(finding.fingerprint)
        candidates = [one for one in left.get(finding.context, ()) if one.path != finding.path]
        if candidates:
            old = candidates[0]
            left[old.context].remove(old)
            moved[place] = old.fingerprint
        else:
            new.append(place)
    taken = set(moved.values())
    return Tracked(
        again=tuple(sorted(again)),
        back=tuple(sorted(back)),
        moved=moved,
        new=tuple(new),
        gone=tuple(sorted(one.fingerprint for one in gone if one.fingerprint not in taken)),
    )
