"""Scores against known ones, and against another implementation."""

import random
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lemnis.contracts.alerts import Severity
from lemnis.scan import cvss
from lemnis.scan.cvss4 import METRICS, REQUIRED

cvss_peer = pytest.importorskip("cvss")

KNOWN = {
    "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H": 9.8,
    "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H": 10.0,
    "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N": 6.1,
    "CVSS:3.0/AV:L/AC:L/PR:L/UI:R/S:U/C:L/I:N/A:N": 2.8,
    "CVSS:3.1/AV:P/AC:H/PR:H/UI:R/S:U/C:N/I:N/A:N": 0.0,
    "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H": 10.0,
    "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N": 9.3,
    "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:N/SC:N/SI:N/SA:N": 0.0,
}


@pytest.mark.parametrize(("vector", "score"), KNOWN.items())
def test_known_scores(vector, score):
    assert cvss.parse(vector).score == score


V3 = {"AV": "NALP", "AC": "LH", "PR": "NLH", "UI": "NR", "S": "UC", "C": "HLN", "I": "HLN", "A": "HLN"}


def test_every_base_vector_of_3_scores_as_the_peer():
    for values in product(*V3.values()):
        body = "/".join(f"{name}:{value}" for name, value in zip(V3, values, strict=True))
        for version in ("3.0", "3.1"):
            text = f"CVSS:{version}/{body}"
            assert cvss.parse(text).score == float(cvss_peer.CVSS3(text).base_score), text


def vectors4():
    optional = [name for name in METRICS if name not in REQUIRED]
    whole = {name: st.sampled_from(METRICS[name]) for name in REQUIRED}
    some = {name: st.sampled_from(METRICS[name]) for name in optional}
    return st.fixed_dictionaries(whole, optional=some).map(
        lambda m: "CVSS:4.0/" + "/".join(f"{name}:{m[name]}" for name in METRICS if name in m)
    )


@settings(max_examples=100)
@given(vectors4())
def test_4_scores_as_the_peer(text):
    assert cvss.parse(text).score == float(cvss_peer.CVSS4(text).base_score)


def test_thousands_of_vectors_of_4_score_as_the_peer():
    draw = random.Random(4)  # noqa: S311 - the same vectors in every run
    for _ in range(3000):
        said = {n: draw.choice(v) for n, v in METRICS.items() if n in REQUIRED or draw.random() < 0.5}
        text = "CVSS:4.0/" + "/".join(f"{name}:{value}" for name, value in said.items())
        assert cvss.parse(text).score == float(cvss_peer.CVSS4(text).base_score), text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("AV:N/AC:L/Au:N/C:P/I:P/A:P", "no CVSS 3.0, 3.1 or 4.0"),
        ("CVSS:3.1/AV:N", "AC, PR, UI, S, C, I, A not said"),
        ("CVSS:3.1/AV:N/AV:N", "AV is said twice"),
        ("CVSS:3.1/AV:Q", "'AV:Q' is no metric"),
        ("CVSS:3.1/AV:", "'AV:' is no metric"),
        ("", "no CVSS"),
    ],
)
def test_what_is_no_vector_is_said(text, words):
    with pytest.raises(ValueError, match=words):
        cvss.parse(text)


def test_what_a_vector_tells_ssvc():
    wormable = cvss.parse("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/E:F")
    clicked = cvss.parse("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:H")
    assert (wormable.automatable, wormable.proven, wormable.severity) == (True, True, Severity.CRITICAL)
    assert (clicked.automatable, clicked.proven, clicked.severity) == (False, False, Severity.HIGH)
    said = cvss.parse("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N/E:P/AU:N")
    assert (said.automatable, said.proven) == (False, True)
