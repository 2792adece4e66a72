"""Lint: what is wrong with rules before any event is seen, as errors and as warnings, with its place."""

import json
import shutil
import textwrap
from pathlib import Path

import pytest

from lemnis.app.rules_fields import alike, vocabulary
from lemnis.app.rules_lint import lint, lint_paths
from lemnis.content.library import Library, builtin_root
from lemnis.contracts.errors import NotFoundError
from lemnis.ingest.sources import Sources
from lemnis.interfaces.cli import run

LIBRARY = Library.open()
RULE = """\
title: A rule
id: 7b0d3b6e-9b64-4d1c-8d9d-3b1f6a3f7a01
status: test
level: low
tags: [attack.t1059.001, attack.execution]
logsource: {product: windows, category: process_creation}
detection:
  a:
    Image|endswith: /x
    CommandLine|contains: y
  condition: a
"""


@pytest.fixture
def found(tmp_path):
    """Lint rules in a folder; returns findings as (level, check, line, what)."""

    def run_lint(*texts, **files):
        for number, text in enumerate(texts):
            (tmp_path / f"rule{number}.yml").write_text(text)
        for name, text in files.items():
            (tmp_path / f"{name}.yml").write_text(text)
        done = lint_paths(LIBRARY, [tmp_path])
        return [(one.level, one.check, one.at.line, one.what, one.fix) for one in done.findings]

    return run_lint


def test_a_good_rule_has_no_findings(found):
    assert found(RULE) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("id: 7b0d3b6e-9b64-4d1c-8d9d-3b1f6a3f7a01\n", "", ("error", "id", 1, "no id")),
        ("id: 7b0d3b6e-9b64-4d1c-8d9d-3b1f6a3f7a01", "id: twelve", ("error", "schema", None, "UUID")),
        ("status: test\n", "", ("warning", "schema", 1, "no status")),
        ("level: low\n", "", ("warning", "schema", 1, "no level")),
        ("level: low", "level: huge", ("error", "schema", 4, "huge")),
        ("level: low", "level: low\nfalsepositive: [x]", ("warning", "schema", 5, "'falsepositive' is no key")),
        ("level: low", "level: low\ndate: 2025-02-30", ("error", "schema", 5, "2025-02-30")),
        ("level: low", "level: low\ndate: 2025-02-03\nmodified: 2025-02-01", ("warning", "schema", 6, "modified before")),
        ("attack.execution", "attack.defense_evasion", ("warning", "tags", 5, "neither a tactic")),
        ("attack.execution", "attack.t105", ("warning", "tags", 5, "neither a tactic")),
        ("attack.execution", "attack.t1059.001", ("warning", "tags", 5, "twice")),
        ("attack.execution", "cve.17", ("warning", "tags", 5, "no number of a CVE")),
        ("attack.execution", "Attack.Execution", ("warning", "tags", 5, "small letters")),
        ("CommandLine", "Commandline", ("warning", "field", 10, "'Commandline'")),
        ("product: windows, category: process_creation", "product: mainframe", ("warning", "logsource", 6, "product mainframe")),
        ("  condition: a", "  b: {Image: z}\n  condition: a", ("warning", "unused", 11, "'b'")),
        ("CommandLine|contains: y", "Image: /z", ("error", "unreachable", 11, "exclude each other")),
        ("  condition: a", "  condition: a or not a", ("error", "unreachable", 11, "every record")),
        ("  condition: a", "  condition: a and", ("error", "schema", 11, "")),
        ("CommandLine|contains: y", "CommandLine|expand: '%here%'", ("error", "unsupported", 10, "here")),
        ("title: A rule", "title: A rule\n- x", ("error", "schema", None, "")),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(found, old, new, expected):
    assert old in RULE
    ((level, check, line, what, _),) = found(RULE.replace(old, new))
    assert (level, check) == expected[:2]
    assert expected[2] in {None, line}
    assert expected[3] in what


def test_a_misspelt_name_is_guessed(found):
    ((*_, what, fix),) = found(RULE.replace("CommandLine", "ComandLine"))
    assert what == "no source of its log source is known to serve the field 'ComandLine'"
    assert fix == "did you mean 'CommandLine'?"
    assert alike("commandline", ["Image", "CommandLine"]) == "CommandLine"
    assert alike("entirely", ["Image", "CommandLine"]) == ""


def test_a_field_that_records_cannot_have_is_an_error(found):
    rule = RULE.replace("product: windows, category: process_creation", "category: webserver")
    rule = rule.replace("Image|endswith", "cs-uri|endswith").replace("CommandLine", "cs-nothing")
    (finding,) = found(rule)
    # web_json is a source of web servers too, and its records may have any field
    assert finding[:3] == ("warning", "field", 10)
    library = Library.open()
    sources = Sources.load(library)
    known = {one.fixed for one in vocabulary(sources).of(None, "webserver", None)}
    assert known == {True, False}


def test_copies_same_ids_and_same_logic_are_told(found):
    other = RULE.replace("7a01", "7a02").replace("A rule", "Another")
    changed = RULE.replace("/x", "/q")
    everything = found(RULE, RULE, other, changed)
    assert [(level, check) for level, check, *_ in everything] == [
        ("warning", "copy"), ("warning", "duplicate"), ("error", "id"),
    ]  # fmt: skip
    assert "also that of" in everything[2][3]
    assert "rule0.yml" in everything[0][3]


def test_log_sources_that_nothing_serves_are_told_once_each(found):
    odd = RULE.replace("product: windows, category: process_creation", "product: mainframe")
    (one,) = found(odd, odd.replace("7a01", "7a02").replace("/x", "/q"))
    assert one[3].endswith("product mainframe (nor that of 1 rule more)")


def test_parts_of_rules_need_not_say_everything(found):
    head = "action: global\n" + RULE.split("detection:", maxsplit=1)[0]
    detection = "detection:" + RULE.split("detection:")[1]
    assert found(f"{head}---\n{detection}") == []


def test_a_filter_and_a_correlation_are_no_rules(found):
    filter_ = """\
        title: Not our deployer
        logsource: {product: windows, category: process_creation}
        filter:
          rules: [7b0d3b6e-9b64-4d1c-8d9d-3b1f6a3f7a01]
          us: {User: deployer}
          condition: not us
        """
    assert found(RULE, textwrap.dedent(filter_)) == []


def test_a_correlation_that_groups_by_what_its_rules_lack_is_told(found):
    correlation = """\
        title: Often
        id: 7b0d3b6e-9b64-4d1c-8d9d-3b1f6a3f7a09
        status: test
        level: high
        correlation:
          type: event_count
          rules: [7b0d3b6e-9b64-4d1c-8d9d-3b1f6a3f7a01]
          group-by: [Computer, Usr]
          timespan: 5m
          condition: {gte: 3}
        """
    text = f"{RULE}---\n{textwrap.dedent(correlation)}"
    assert found(text.replace("Usr", "User")) == []
    (one,) = found(text)
    assert one[:3] == ("warning", "field", 20)
    assert "'Usr'" in one[3]
    assert "'User'" in one[4]


def test_a_path_that_is_not_there():
    with pytest.raises(NotFoundError):
        lint_paths(LIBRARY, [Path("nowhere")])


@pytest.fixture
def own(tmp_path):
    """Lay out a library with one detection of its own, which can be spoilt."""
    folder = tmp_path / "content/detections/web_scanner_user_agent"
    shutil.copytree(builtin_root() / "detections/web_scanner_user_agent", folder)
    return folder


def linted(own):
    done = lint(Library.open(own.parents[1]))
    return [(one.level, one.check, one.what) for one in done.findings if str(own) in one.at.file]


def test_a_detection_needs_tests_and_a_log_source(own):
    assert linted(own) == []
    (own / "tests.yml").rename(own / "mine.yml")
    assert [one[:2] for one in linted(own)] == [("error", "tests")]
    rule = (own / "rule.yml").read_text()
    (own / "rule.yml").write_text(rule.replace("category: webserver", "product: mainframe"))
    assert {one[:2] for one in linted(own)} == {("error", "tests"), ("error", "logsource")}


def test_a_field_that_the_detections_samples_have_is_known(own):
    rule = (own / "rule.yml").read_text().replace("category: webserver", "product: github, service: audit")
    (own / "rule.yml").write_text(rule.replace("cs-user-agent", "programmatic_access"))
    assert [one[:2] for one in linted(own)] == [("warning", "field")]
    (own / "tests.yml").write_text(
        "- {name: a, source: github_audit, fires: true, records: [{action: a.b, actor: e, "
        "created_at: 1764000000000, programmatic_access: sqlmap}]}\n"
    )
    assert linted(own) == []


def test_the_command_tells_errors_from_warnings(tmp_path, capsys):
    file = tmp_path / "rule.yml"
    file.write_text(RULE.replace("CommandLine", "ComandLine"))
    assert run(["rules", "lint", str(file)]) == 0
    said = capsys.readouterr()
    assert "rule.yml:10:5: no source" in "".join(said.err.split("\n"))
    assert "1 finding in 1 rule, 0 of them errors" in said.out
    assert run(["rules", "lint", str(file), "--strict", "--json"]) == 2
    line = json.loads(capsys.readouterr().out)
    assert (line["level"], line["check"], line["line"], line["column"]) == ("warning", "field", 10, 5)
    file.write_text(RULE.replace("level: low", "level: huge"))
    assert run(["rules", "lint", str(file), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["level"] == "error"
