import pytest

from lemnis.contracts.alerts import Severity
from lemnis.contracts.findings import Edit, Finding, Kind, Place
from lemnis.scan.secrecy import discreet, hidden

SECRET = "hunter2hunter2"


def finding(**changes):
    made = {
        "fingerprint": "", "tool": "t", "rule_id": "R", "title": f"value {SECRET} in code", "path": "a.py",
        "severity": Severity.HIGH, "line": 1, "end_line": 1, "snippet": f'key = "{SECRET}"', "cwes": (798,),
        "message": f"key = {SECRET}", "fix": f"read {SECRET} from elsewhere",
        "flow": (Place("a.py", 1, 1, SECRET),), "edits": (Edit("a.py", 1, 1, 1, 9, f'"{SECRET}"'),), **changes,
    }  # fmt: skip
    return Finding(**made)


@pytest.mark.parametrize(
    "line",
    [f'key = "{SECRET}"', f"key: '{SECRET}'", f"KEY={SECRET}", f"key : {SECRET}, other: 1", f'{{"a": "{SECRET}"}}'],
)  # fmt: skip
@pytest.mark.parametrize("known", [True, False])
def test_a_weakness_that_is_a_secret_is_told_without_it(line, known):
    got = discreet(finding(snippet=line), lambda _: [line] if known else [])
    assert SECRET not in repr(got)
    assert (got.kind, got.rule_id, got.line) == (Kind.SECRET, "R", 1)
    assert got.title == "value … in code"


def test_lines_of_code_without_what_is_assigned():
    assert hidden(f'export KEY={SECRET} # "{SECRET}"') == 'export KEY=… # "…"'
    assert hidden("x = 'code'") == "x = 'code'"


def test_another_weakness_keeps_its_words_and_code():
    other = finding(cwes=(78,))
    assert discreet(other, lambda _: [f'key = "{SECRET}"']) is other


def test_short_words_are_not_taken_for_values():
    got = discreet(finding(title="a b of code", snippet=""), lambda _: ['x = "code"'])
    assert got.title == "a b of code"
