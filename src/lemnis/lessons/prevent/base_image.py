"""An image that others are built from: refused at the digest that was bad, and at a tag that leads there."""

from __future__ import annotations

import re

from lemnis.lessons.prevent import setting
from lemnis.lessons.prevent.base import Base, Drawn, NewCheck, Traced, fails, literal

NAME = "base image"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_GOOD = "sha256:" + "0" * 64  # stands for a digest that was looked at, in the example that passes


def recognise(traced: Traced, name: str) -> Drawn | str:
    """Draw a check over Dockerfiles from the base: no digest of it, or the bad one.

    How old a base is, no Dockerfile says: a gate by age cannot be drawn from one.
    """
    base = traced.base
    if base is not None and base.name:
        if base.digest and not _DIGEST.fullmatch(base.digest):
            return f"{base.digest!r} is no digest of an image"
        says = f"a Dockerfile that builds on {base.name} " + (
            f"at {base.digest[:19]}…, or at a tag" if base.digest else "at a tag"
        )
        return setting.new(NAME, traced, name, _check(base), says=says)
    found = [one for one in traced.findings if one.rule_id.startswith("dockerfile_base_")]
    if found:
        return setting.known(NAME, found, ("SLSA.v1.0.Build.L2",))
    return "nothing says which image the one that ran was built from"


def _check(one: Base) -> NewCheck:
    def base(name: str, digest: str) -> dict[str, object]:
        image, tag = (f"{name}@{digest}", "") if digest else (f"{name}:1", "1")
        whole = {"image": image, "registry": "docker.io", "name": name, "tag": tag}
        return {**whole, "digest": digest}

    body = f"""{fails('["digest"]', 'sprintf("%s can be moved", [one.image])')}
    some i, one in input.resources
    one.name == {literal(one.name)}
    one.digest == ""
}}"""
    bad = [base(one.name, "")]
    if one.digest:
        body += f"""

{fails('["digest"]', '"this is the image that was bad"')}
    some i, one in input.resources
    one.digest == {literal(one.digest)}
}}"""
        bad.append(base(one.name, one.digest))
    return NewCheck(
        title=f"Builds on {one.name} at what was bad or can become it",
        kinds=("dockerfile.from",),
        why="An incident came of what this base image held.",
        fix="Name a digest that was looked at since: name@sha256:….",
        body=body,
        fails=tuple(bad),  # type: ignore[arg-type]
        passes=(base(one.name, _GOOD), base(f"{one.name}-another", "")),  # type: ignore[arg-type]
        unknown=("digest",),
        cwes=(1357,),
        controls=("SLSA.v1.0.Build.L2",),
    )
