"""A secret in what was committed: refused before the commit, by kind of secret."""

from __future__ import annotations

from lemnis.contracts.findings import Kind
from lemnis.lessons.gate import Scope
from lemnis.lessons.prevent.base import Drawn, Traced, between, rules_of

NAME = "secret"


def recognise(traced: Traced, _name: str) -> Drawn | str:
    """Draw a gate from a finding of a secret: any secret, or those that the same rule finds."""
    found = [one for one in traced.findings if one.kind is Kind.SECRET]
    if not found:
        return "no finding says that the line holds a secret"
    rules = rules_of(found)
    return Drawn(
        kind=NAME,
        says=f"a secret ({found[0].title}) in a change",
        earliest="commit",
        because=f"it is in the text that is staged ({found[0].path}); once pushed it has to be revoked",
        stages=between("commit", "build"),
        fix="take it out, read it from the environment, and revoke it if it was ever pushed",
        controls=("NIST.SSDF.PS.1", "OWASP.ASVS.V13.3", "CWE-798"),
        scopes=(
            Scope("any secret", kind="secret", judged=True),
            Scope("this kind of secret", rules=rules, kind="secret", judged=True),
        ),
        example=found[0],
        review=("Is the secret revoked? The gate stops the next one, not this one.",),
    )
