from dataclasses import replace

import pytest

from lemnis.contracts.alerts import Severity
from lemnis.contracts.findings import Edit, Finding, Kind, Place
from lemnis.scan import fingerprint, secrecy
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


def test_values_of_one_line_are_looked_for_once(monkeypatch):
    line = f'key = "{SECRET}"; other = "abcdefgh"'
    looked, values = [], secrecy._values
    monkeypatch.setattr(secrecy, "_values", lambda code: looked.append(code) or values(code))
    make = secrecy.Discreet(lambda _: [line, 'third = "zyxwvuts"'])
    words = [f"{SECRET} is a key", "abcdefgh zyxwvuts", f"{SECRET} is a key"]
    assert [make(finding(title=one)).title for one in words] == ["… is a key", "… zyxwvuts", "… is a key"]
    assert looked == [line]
    other = replace(finding(title="abcdefgh zyxwvuts"), line=2, end_line=2)
    assert make(other).title == "abcdefgh …"
    assert len(looked) == 2


def test_findings_without_source_are_told_each_by_what_it_shows():
    make = secrecy.Discreet(lambda _: [])
    assert make(finding(title="one abcdefgh", snippet='k = "abcdefgh"')).title == "one …"
    assert make(finding(title="one zyxwvuts", snippet='k = "zyxwvuts"')).title == "one …"


def test_findings_in_one_endless_line_are_squeezed_once(monkeypatch):
    squeezed, code = [], fingerprint._code
    monkeypatch.setattr(fingerprint, "_code", lambda *where: squeezed.append(where) or code(*where))
    line = "x = 1; " * 200_000
    some = [finding(title=str(number), snippet="") for number in range(50)]
    found = list(fingerprint.fingerprints(some, lambda _: [line]))
    assert len({one.fingerprint for one in found}) == 50
    assert len(squeezed) == 1
    [other] = fingerprint.fingerprints(some[:1], lambda _: [line + "y"])
    assert other.fingerprint != found[0].fingerprint
