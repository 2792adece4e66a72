"""What rules cost, and exceptions that are proposed: measured before they are, and as good as measured."""

import lived
import numpy as np
import pyarrow as pa
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from lived import ADMIN, DAY, SCANNER, START

from lemnis import app
from lemnis.app import content, incidents, noise, noise_filter, noise_report
from lemnis.app.replay import replay
from lemnis.contracts.alerts import Entity, EntityKind, IncidentStatus, Verdict
from lemnis.contracts.detection import Frame, Offers
from lemnis.contracts.errors import RefusedError
from lemnis.detect.matcher import Matcher
from lemnis.detect.rules import compile_files, load_rules

HOUR = 3_600_000


@pytest.fixture
def workspace(tmp_path, two_weeks):
    return lived.copied(two_weeks, tmp_path)


@pytest.fixture
def graver(tmp_path):
    """The same, where an alert is enough for an incident."""
    made = lived.workspace(tmp_path, level="critical")
    lived.live(made, tmp_path)
    return made


def report(workspace, **options):
    return noise_report.report(workspace, owner="ana", **options)


def close(workspace, verdict, wanted):
    """Close the incidents in which an address is."""
    done = 0
    for one in incidents.incidents(workspace):
        if any(entity.value == wanted for entity in one.entities):
            for to in (IncidentStatus.RESOLVED, IncidentStatus.CLOSED):
                incidents.transition(workspace, one.id, to, actor="ana", reason="seen", verdict=verdict)
            done += 1
    return done


def test_it_counts_what_people_saw_and_over_how_long(workspace):
    found = report(workspace)
    (one,) = found.rules
    assert (one.name, one.alerts) == (ADMIN, 14 * 4 + 2)
    assert one.entities[Entity(EntityKind.ADDRESS, SCANNER)] == 56
    assert one.span.events == 14 * 24 + 2
    assert (one.span.first, one.span.last) == (START, START + 13 * DAY + 19 * HOUR // 2)
    assert one.week.days == pytest.approx(13.396, abs=0.001)
    assert one.week.low < one.week.rate < one.week.high
    assert one.week.rate == pytest.approx(58 * 7 / one.week.days)
    assert (
        found.silent
        == len(
            load_rules([item.manifest for item in app.library(workspace).items("detections").values()]).rules
        )
        - 1
    )
    assert found.minutes == noise.MINUTES
    assert report(workspace, start=START + 7 * DAY).rules[0].alerts == 29
    assert report(workspace, start=START + 20 * DAY).rules == ()


def test_minutes_come_from_the_settings_unless_they_are_given(workspace):
    path = workspace.root / app.SETTINGS
    path.write_text(path.read_text() + "minutes_per_alert: 4.5\n")
    assert report(workspace).minutes == 4.5
    assert report(workspace, minutes=2).minutes == 2


def test_the_proposal_does_what_it_says(workspace):
    found = report(workspace)
    proposal = found.proposal()
    assert (proposal.entity.value, proposal.field) == (SCANNER, "c-ip")
    assert (proposal.removed, proposal.fired, proposal.hidden, proposal.events) == (56, 58, 56, 338)
    lived.exception(workspace, proposal.text, name="proposed")
    library = app.library(workspace)
    assert list(content.lint(library, "rule_exceptions")) == []
    left = replay(app.lake(workspace), library)
    assert [entity.value for one in left for entity in one.entities if entity.value == SCANNER] == []
    assert len(left) == proposal.fired - proposal.removed
    again = report(workspace)
    assert again.rules[0].alerts == 2
    with pytest.raises(RefusedError, match="no value stands out"):
        again.proposal()


def test_what_was_judged_real_is_not_taken_away(graver):
    with pytest.raises(RefusedError, match="open or judged real"):
        report(graver).proposal(ADMIN)
    assert close(graver, Verdict.TRUE_POSITIVE, SCANNER)
    found = report(graver)
    assert found.rules[0].verdicts["true_positive"] > 0
    with pytest.raises(RefusedError, match="judged real"):
        found.proposal(ADMIN)


def test_false_positives_are_counted_and_may_be_taken_away(graver):
    assert close(graver, Verdict.FALSE_POSITIVE, SCANNER)
    (one, *_) = report(graver).rules
    assert set(one.verdicts) == {"false_positive"}
    assert one.verdicts["false_positive"] >= 56
    assert report(graver).proposal("admin_page").removed == 56


def test_what_hides_most_of_a_log_source_is_not_proposed(tmp_path):
    made = lived.workspace(tmp_path)
    lived.rule(made, "admin_page", number=ADMIN, field="c-ip", value=SCANNER)
    log = tmp_path / "access.log"
    log.write_text("".join(lived.request(START + n * HOUR, SCANNER, f"/{n}") for n in range(10)))
    lived.Ingest(made, "web_combined", lived.Watch(made)).run([log])
    found = report(made)
    assert found.rules[0].alerts == 10
    with pytest.raises(RefusedError, match="100 % of the log source's events"):
        found.proposal()


@given(st.text("aB*?\\\\ü", min_size=1, max_size=8), st.text("aB*?\\\\ü", min_size=1, max_size=8))
def test_what_sigma_would_read_into_a_value_is_escaped(value, other):
    document = {
        "title": "x", "logsource": {"category": "webserver"},
        "detection": {"selection": {"field": noise_filter.escaped(value)}, "condition": "selection"},
    }  # fmt: skip
    loaded = compile_files([("rule.yml", yaml.safe_dump(document).encode())])
    assert loaded.problems == ()
    columns = {"field": pa.array([value, other])}
    frame = Frame(
        "s", "o", Offers(categories=frozenset({"webserver"})), columns, pa.nulls(2, pa.string()), np.arange(2)
    )
    hits = [list(match.rows) for match in Matcher(loaded.rules, loaded.atoms).match(frame)]
    assert hits == [[0, 1] if other.lower() == value.lower() else [0]]


def test_an_alert_is_counted_once_however_often_it_comes(workspace):
    (alert, *_) = replay(app.lake(workspace), app.library(workspace))
    one = noise.Noise(rule=None)
    assert [one.add(alert) for _ in range(3)] == [True, False, False]
    assert one.alerts == 1
