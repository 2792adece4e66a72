"""JUnit XML of detections' tests, as build servers read it."""

from xml.etree import ElementTree as ET

from lemnis.app.rules_junit import junit
from lemnis.app.rules_mutation import Mutated
from lemnis.app.rules_test import CaseResult
from lemnis.app.rules_test import Tested as Result
from lemnis.interfaces.cli import run

GOOD = Result("good", (CaseResult("fires", True, 2, 2), CaseResult("silent", False, 0, 0)), seconds=0.25)
BAD = Result(
    "bad",
    (
        CaseResult("two <paths>", True, 2, 1),
        CaseResult("loud", False, 3, 3),
        CaseResult("too few", True, 2, 2, wanted=3),
        CaseResult("unread", True, 0, 0, "line 1 is \x1b[31mno record"),
    ),
)


def parsed(document):
    return ET.fromstring(document)  # noqa: S314 - our own


def suites(*results, minimum=0.0):
    root = parsed(junit(results, minimum=minimum))
    return root, list(root)


def test_a_suite_a_detection_and_a_case_a_case():
    root, (good, bad) = suites(GOOD, BAD)
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("6", "3", "1")
    assert (good.get("name"), good.get("tests"), good.get("failures"), good.get("time")) == (
        "good",
        "2",
        "0",
        "0.250",
    )
    assert [len(case) for case in good] == [0, 0]
    assert [case[0].tag for case in bad] == ["failure", "failure", "failure", "error"]
    assert [case[0].get("message") for case in bad] == [
        "2 matches on raw records, 1 on the OCSF events made of them",
        "it must be silent, and matched 3 times",
        "it must match 3 times, and matched 2 times",
        "line 1 is \\x1b[31mno record",
    ]


def test_what_could_not_be_tested_is_an_error_and_what_never_fires_a_failure():
    _, (broken, silent) = suites(Result("broken", (), "no tests.yml"), Result("silent", (GOOD.results[1],)))
    assert [case[0].get("message") for case in broken] == ["no tests.yml"]
    assert silent.get("failures") == "1"
    assert silent[1][0].get("message") == "no case has `fires: true`"


def test_the_mutation_score_is_a_case_with_the_survivors():
    weak = Mutated(GOOD, 10, ("selection a: x deleted; add a case", "condition: b negated; add a case"))
    root, (suite,) = suites(weak, minimum=0.9)
    assert root.get("failures") == "1"
    assert suite[2].get("name") == "mutation score"
    assert suite[2][0].get("message") == "8 of 10 mutants noticed, 80%; 90% is needed"
    assert suite[2][0].text.splitlines() == list(weak.survivors)
    assert suites(weak, minimum=0.8)[0].get("failures") == "0"
    assert suites(Mutated(GOOD, trouble="odd condition"))[0].get("errors") == "1"
    assert len(suites(Mutated(BAD), minimum=0.9)[1][0]) == len(BAD.results)


def test_the_command_writes_it_whether_the_tests_pass_or_not(tmp_path, capsys):
    file = tmp_path / "junit.xml"
    assert run(["rules", "test", "web_scanner_user_agent", "--junit", str(file), "--json"]) == 0
    assert parsed(file.read_bytes()).get("failures") == "0"
    assert run(["init", str(tmp_path / "w"), "--json"]) == 0
    mine = tmp_path / "w/content/detections/web_scanner_user_agent"
    mine.mkdir(parents=True)
    (mine / "rule.yml").write_text("title: broken\n")
    assert (
        run(["rules", "test", "web_scanner_user_agent", "--junit", str(file), "-w", str(tmp_path / "w")]) == 1
    )
    assert parsed(file.read_bytes()).get("errors") == "1"
