"""Cases of a detection: samples in files and in ``tests.yml``, how many records match, what is refused."""

import pytest

from lemnis.app.rules_test import test_rules as run_rules
from lemnis.content import yaml
from lemnis.content.library import Library, builtin_root
from lemnis.content.schemas import detection_tests
from lemnis.contracts.errors import ContentError

LINE = '192.0.2.1 - - [24/Nov/2025:18:00:0%d +0000] "GET / HTTP/1.1" 200 1 "-" "%s"'


@pytest.fixture
def tested(tmp_path):
    """Run a built-in detection on cases of a test's own."""

    def run(cases: str, name: str = "web_scanner_user_agent"):
        folder = tmp_path / "content/detections/mine"
        folder.mkdir(parents=True)
        (folder / "rule.yml").write_text((builtin_root() / "detections" / name / "rule.yml").read_text())
        (folder / "tests.yml").write_text(cases)
        (one,) = run_rules(Library.open(tmp_path / "content"), ["mine"])
        return one

    return run


def text(*agents):
    return "".join(f"    {LINE % (place, agent)}\n" for place, agent in enumerate(agents))


def test_a_text_of_records_is_a_sample(tested):
    one = tested(
        "- name: tools\n  source: web_combined\n  fires: true\n  matches: all\n  records: |\n"
        + text("sqlmap/1.8", "Nikto")
        + "- name: others\n  source: web_combined\n  fires: false\n  records: |\n"
        + text("Mozilla/5.0")
    )
    assert one.passed, one
    assert [(case.raw, case.ocsf, case.wanted) for case in one.results] == [(2, 2, 2), (0, 0, None)]


def test_a_list_of_objects_is_lines_of_json(tested):
    record = (
        "{eventSource: iam.amazonaws.com, eventName: CreateUser, errorCode: AccessDenied, eventID: a-1, "
        'eventTime: "2025-11-24T18:00:00Z", eventVersion: "1.08", awsRegion: eu-central-1, '
        'sourceIPAddress: 192.0.2.1, userIdentity: {type: IAMUser, userName: eve, arn: "arn:aws:iam::1:user/eve"}}'
    )
    one = tested(
        f"- name: refused\n  source: aws_cloudtrail\n  fires: true\n  records:\n    - {record}\n",
        "cloud_identity_change_denied",
    )
    assert one.passed, one


@pytest.mark.parametrize(("matches", "passed"), [("1", True), ("2", False), ("all", False)])
def test_so_many_records_must_match(tested, matches, passed):
    one = tested(
        f"- name: tools\n  source: web_combined\n  fires: true\n  matches: {matches}\n  records: |\n"
        + text("sqlmap/1.8", "Mozilla/5.0")
    )
    assert one.passed is passed


def test_a_record_that_cannot_be_read_names_its_case(tested):
    one = tested("- {name: odd one, source: web_combined, fires: true, records: [no such line]}\n")
    assert not one.passed
    assert "tests.yml (odd one)#1" in one.results[0].trouble


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("{name: a, source: s, fires: true}", "either `given`"),
        ("{name: a, source: s, fires: true, given: x.log, records: [b]}", "either `given`"),
        ("{name: a, source: s, fires: true, records: []}", "either `given`"),
        ("{name: a, source: s, fires: false, given: x.log, matches: 2}", "cases that fire"),
        ("{name: a, source: s, fires: true, given: x.log, matches: 0}", "greater than 0"),
        ("{name: a, source: s, fires: true, given: a/../../x.log}", "own folder"),
    ],
)
def test_a_case_that_means_nothing_is_refused(case, said):
    with pytest.raises(ContentError, match=said):
        yaml.load(f"- {case}\n", detection_tests.Tests)
