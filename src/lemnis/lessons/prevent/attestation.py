"""An image that ran without a statement that holds: refused where it is deployed."""

from __future__ import annotations

from lemnis.lessons.prevent.base import Drawn, Traced, literal

NAME = "missing attestation"
_KINDS = ("provenance", "sbom", "scan", "tests", "gate")
_VERIFIED = "verified"


def recognise(traced: Traced, _name: str) -> Drawn | str:
    """Draw a gate over images from one whose statement was missing or did not hold."""
    one = traced.unproven
    if one is None:
        return "nothing says that the image ran without an attestation"
    if one.statement not in _KINDS:
        return f"{one.statement!r} is no kind of statement that a gate sees ({', '.join(_KINDS)})"
    if one.state == _VERIFIED:
        return f"the {one.statement} of {one.digest} is verified: it is not what was missing"
    return Drawn(
        kind=NAME,
        says=f"an image whose {one.statement} is missing or does not hold",
        earliest="deploy",
        because="an image that no build of ours made meets no gate before: there is no digest to ask about",
        stages=("release", "deploy"),
        fix=f"build it in the pipeline, which makes and signs the {one.statement}",
        controls=("NIST.SSDF.PS.2", "NIST.SSDF.PS.3", "SLSA.v1.0.Build.L2"),
        text=_rego(one.statement),
        test=_test(one.statement, one.image, one.digest, one.state),
        review=(f"Every image is asked for its {one.statement}: which of those that run have none?",),
    )


def _rego(statement: str) -> str:
    return f"""package PACKAGE

import rego.v1

deny contains reason if {{
    input.statements.{statement}.state != "{_VERIFIED}"
    reason := {{
        "message": sprintf("%s ({statement} is %s) %s", [
            MESSAGE, input.statements.{statement}.state, input.statements.{statement}.problem,
        ]),
        "where": sprintf("image %s", [input.image.digest]),
        "fix": FIX,
    }}
}}
"""


def _test(statement: str, image: str, digest: str, state: str) -> str:
    beside = next(kind for kind in _KINDS if kind != statement)
    return f"""package PACKAGE_test

import rego.v1

import data.PACKAGE as policy

given(state) := {{
    "image": {{"digest": {literal(digest)}, "name": {literal(image)}}},
    "statements": {{
        "{statement}": {{"state": state, "problem": ""}},
        "{beside}": {{"state": "missing", "problem": ""}},
    }},
}}

test_the_cause_is_refused if count(policy.deny) == 1 with input as given({literal(state)})

test_what_does_not_hold_is_refused if count(policy.deny) == 1 with input as given("invalid")

test_an_image_that_is_proven_is_let_be if count(policy.deny) == 0 with input as given("{_VERIFIED}")
"""
