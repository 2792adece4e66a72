"""Findings that live in what is attacked add to its priority: the gravest counts, each says why."""

import pytest

from lemnis.content.schemas.handling import LivePolicy
from lemnis.contracts.alerts import Severity
from lemnis.contracts.handling import Live
from lemnis.incidents.living import about, living

IMAGE = "image:sha256:4be4"


def live(name, severity=Severity.HIGH, **more):
    return Live(f"fp-{name}", name, severity, IMAGE, **more)


@pytest.mark.parametrize(
    ("tags", "names", "cwes"),
    [
        (["cve.2021-44228"], {"CVE-2021-44228"}, set()),
        (["cve.2021.44228", "detection.emerging-threats"], {"CVE-2021-44228"}, set()),
        (["attack.t1552.005"], set(), {918}),
        (["attack.t1552.001"], set(), {256, 312, 321, 522, 798}),
        (["attack.t1499", "attack.execution", "cve.2021"], set(), set()),
    ],
)
def test_what_alerts_are_about_follows_from_their_tags(tags, names, cwes):
    assert about(tags) == (names, cwes)


def test_the_gravest_counts_once_and_every_one_says_why():
    found = [
        live("CVE-2021-44228", exploited=True), live("CVE-2024-1", Severity.CRITICAL), live("CVE-2024-2"),
        live("CVE-2024-3", Severity.MEDIUM),
    ]  # fmt: skip
    assert living(found, (), LivePolicy()) == (
        25,
        (
            f"CVE-2021-44228: known exploited, live in {IMAGE}",
            f"CVE-2024-1: critical, live in {IMAGE}",
            f"CVE-2024-2: high, live in {IMAGE}",
        ),
    )
    assert living(found[2:], (), LivePolicy())[0] == 10
    assert living(found[3:], (), LivePolicy()) == (0, ())


def test_the_very_weakness_counts_most_whatever_its_severity():
    found = [live("subprocess with shell", Severity.LOW, cwes=(78,), through="found in its commit 9f2c")]
    told = "subprocess with shell: the weakness that the alerts are about"
    said = f"{told}, live in {IMAGE} (found in its commit 9f2c)"
    assert living(found, ["attack.t1059.004"], LivePolicy()) == (30, (said,))
    assert living(found, ["attack.t1499"], LivePolicy()) == (0, ())
