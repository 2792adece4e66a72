"""Reports of other tools, imported: good parts kept, bad ones told, the same again known."""

import shutil

import orjson
import pytest

from lemnis.interfaces.cli import run
from lemnis.scan import decoding


def result(number, **changes):
    return {
        "ruleId": f"R{number % 3}", "message": {"text": f"m{number}"}, "level": "error",
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": "a.py"}, "region": {"startLine": number + 1}}}],
        "correlationGuid": "x", **changes,
    }  # fmt: skip


def sarif(*results):
    return {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "T"}}, "results": list(results)}]}


@pytest.fixture
def where(tmp_path):
    assert run(["init", str(tmp_path / "w")]) == 0
    return ["-w", str(tmp_path / "w")]


def imported(capsys, file, *arguments):
    capsys.readouterr()
    code = run(["findings", "import", str(file), "--json", *arguments])
    told = capsys.readouterr()
    return code, orjson.loads(told.out.splitlines()[-1]) if told.out else {}, told.err


def test_half_of_the_results_are_broken_and_the_other_half_is_imported(tmp_path, where, capsys):
    broken = [
        None,
        7,
        "x",
        {"message": {}},
        result(1, level="dire"),
        {"ruleId": "R", "locations": [{"physicalLocation": {"region": {"startLine": -4}}}]},
    ]
    file = tmp_path / "r.sarif"
    file.write_bytes(orjson.dumps(sarif(*broken, *[result(n) for n in range(6)])))
    code, said, errors = imported(capsys, file, "--tool", "sarif", *where)
    assert (code, said["findings"], said["new"], said["errors"]) == (2, 6, 6, 6)
    assert "run 1, result 1: no object" in errors
    assert said["lost_fields"]["runs[].results[].correlationGuid"] == 7
    assert run(["findings", "list", "--json", *where]) == 0
    rows = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {(row["tool"], row["path"]) for row in rows} == {("T", "a.py")}
    assert len(rows) == 6
    again = imported(capsys, file, "--tool", "sarif", *where)
    assert (again[0], again[1]["findings"], again[1]["new"]) == (2, 6, 0)


def test_auto_tells_whose_report_it_is(tmp_path, where, capsys):
    report = {"SchemaVersion": 2, "ArtifactName": "x", "Results": [{"Target": "l", "Type": "npm", "Vulnerabilities": [
        {"VulnerabilityID": "CVE-2020-1", "PkgName": "p", "InstalledVersion": "1", "Severity": "HIGH"}]}]}  # fmt: skip
    file = tmp_path / "report"
    file.write_bytes(orjson.dumps(report))
    code, said, _ = imported(capsys, file, *where)
    assert (code, said["tool"], said["findings"], said["errors"]) == (0, "trivy", 1, 0)
    file.write_text('{"what": "is this"}')
    code, said, errors = imported(capsys, file, *where)
    assert code == 2
    assert "nobody's report" in errors


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "no JSON"),
        (b'{"runs": [', "no JSON"),
        (b"[" * 5000 + b"]" * 5000, "no JSON"),
        (b'{"runs": 3, "version": "2.1.0"}', "no list of runs"),
        (b"\xff\xfe\x00", "no JSON"),
    ],
)
def test_what_is_no_report_is_refused_with_its_place(tmp_path, where, capsys, data, word):
    file = tmp_path / "r.sarif"
    file.write_bytes(data)
    code, _, errors = imported(capsys, file, "--tool", "sarif", *where)
    assert code == 2
    assert word in errors
    assert "r.sarif" in errors


def test_a_report_that_is_too_large_is_refused_before_it_is_read(tmp_path, where, capsys):
    file = tmp_path / "big.sarif"
    with file.open("wb") as stream:
        stream.truncate(decoding.MAX_REPORT + 1)
    code, _, errors = imported(capsys, file, "--tool", "sarif", *where)
    assert code == 2
    assert "more than 200,000,000" in errors


def test_entities_in_xml_are_refused(tmp_path, where, capsys):
    file = tmp_path / "r.xml"
    file.write_text(
        '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><BugCollection><BugInstance>&b;</BugInstance></BugCollection>'
    )
    code, _, errors = imported(capsys, file, "--tool", "spotbugs", *where)
    assert code == 2
    assert "entities" in errors


def test_an_unknown_tool_names_those_there_are(tmp_path, where, capsys):
    file = tmp_path / "r"
    file.write_text("{}")
    code, _, errors = imported(capsys, file, "--tool", "nobody", *where)
    assert code == 2
    assert "trivy" in errors


def test_the_same_again_is_known_as_long_as_the_lake_has_it(tmp_path, where, capsys):
    file = tmp_path / "report.json"
    file.write_bytes(orjson.dumps(sarif(*map(result, range(30)))))
    assert imported(capsys, file, "--tool", "sarif", *where)[1]["new"] == 30
    code, again, _ = imported(capsys, file, "--tool", "sarif", *where)
    assert (code, again["findings"], again["new"]) == (0, 30, 0)
    shutil.rmtree(tmp_path / "w" / ".lemnis" / "lake")
    assert imported(capsys, file, "--tool", "sarif", *where)[1]["new"] == 30
    (kept,) = (tmp_path / "w" / ".lemnis" / "cache" / "imports").iterdir()
    kept.write_bytes(orjson.dumps({**orjson.loads(kept.read_bytes()), "events": {"no_such_table": ["ev-1"]}}))
    assert imported(capsys, file, "--tool", "sarif", *where)[1]["new"] == 0  # read again, and all of it known
    kept.write_bytes(orjson.dumps({"tool": "sarif", "findings": 30, "uids": []}))
    assert imported(capsys, file, "--tool", "sarif", *where)[1]["new"] == 0
    assert imported(capsys, file, "--tool", "no_such_tool", *where)[0] == 2
