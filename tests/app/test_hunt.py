"""`lemnis hunt`: what it finds and says, and that bad input costs only itself."""

import json
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import orjson
import pytest
import yaml
import zstandard

from lemnis.app.hunt_jobs import undisturbed
from lemnis.interfaces.cli import run

DATA = Path(__file__).parents[2] / "../shared/data"
RULE = """
title: Encoded command
id: 7f3a5e0c-1b7d-5a41-9d55-0d4a5bb7a001
level: high
logsource: {product: windows, category: process_creation}
detection:
  shell: {Image|endswith: '\\powershell.exe', CommandLine|contains: ' -enc '}
  condition: shell
"""


def event(number, command):
    return {
        "Channel": "Microsoft-Windows-Sysmon/Operational", "EventID": 1, "EventRecordID": number,
        "Computer": "host1", "UtcTime": "2026-01-01 10:00:00.000",
        "Image": "C:\\Windows\\System32\\powershell.exe", "CommandLine": command,
    }  # fmt: skip


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def rules(tmp_path):
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "encoded.yml").write_text(RULE)
    return folder


@pytest.fixture
def logs(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    lines = [event(1, "powershell.exe -File a.ps1"), event(2, "PowerShell.exe -ENC aaa")]
    (folder / "good.jsonl").write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    return folder


def hunt(capsys, *arguments):
    code = run(["hunt", *map(str, arguments), "--json"])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return code, [json.loads(line) for line in out.splitlines()], " ".join(err.split())


def test_a_match_is_told_with_its_place_and_record(logs, rules, capsys):
    code, found, _ = hunt(capsys, logs, "--rules", rules)
    assert code == 1
    (match,) = found
    assert match["rule_id"] == "7f3a5e0c-1b7d-5a41-9d55-0d4a5bb7a001"
    assert (match["rule_title"], match["level"], match["record"]) == ("Encoded command", "high", 2)
    assert match["file"] == str(logs / "good.jsonl")
    assert match["time"].startswith("2026-01-01")
    assert match["event"]["CommandLine"] == "PowerShell.exe -ENC aaa"


def test_nothing_found_exits_0(tmp_path, rules, capsys):
    file = tmp_path / "calm.jsonl"
    file.write_bytes(orjson.dumps(event(1, "powershell.exe")) + b"\n")
    assert hunt(capsys, file, "--rules", rules)[:2] == (0, [])


def test_a_level_leaves_out_what_is_below(logs, rules, capsys):
    assert len(hunt(capsys, logs, "--rules", rules, "--level", "high")[1]) == 1
    assert hunt(capsys, logs, "--rules", rules, "--level", "critical")[:2] == (0, [])
    assert hunt(capsys, logs, "--rules", rules, "--level", "dire")[0] == 2


def test_people_see_rules_counts_and_times(logs, rules, capsys):
    assert run(["hunt", str(logs), "--rules", str(rules)]) == 1
    shown = capsys.readouterr().out
    assert "Encoded" in shown
    assert "1 match of 1 rule in 2 records" in shown


@pytest.mark.parametrize(
    "bad",
    [
        ("cut.jsonl", orjson.dumps(event(1, "x")) + b'\n{"EventID": 1, "Cha\n', "cut.jsonl#2"),
        ("deep.jsonl", orjson.dumps(event(1, "x")) + b'\n{"a":' + b"[" * 3000 + b"]" * 3000 + b"}\n", "deep.jsonl#2"),
        ("bytes.jsonl", orjson.dumps(event(1, "x")) + b"\n\xff\xfe\n", "bytes.jsonl#2"),
        ("cut.evtx", b"ElfFile\0" + b"\1" * 3000, "cut.evtx"),
        ("noise.evtx", bytes(range(256)) * 30, "noise.evtx"),
    ],
)  # fmt: skip
def test_bad_input_costs_itself_and_is_named(logs, rules, capsys, bad):
    name, content, record = bad
    (logs / name).write_bytes(content)
    code, found, said = hunt(capsys, logs, "--rules", rules)
    assert code == 2
    assert [match["file"] for match in found] == [str(logs / "good.jsonl")]
    assert record in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (RULE.replace("|contains", "|frobnicate").replace("a001", "a002"), "frobnicate"),
        ("title: [unclosed\n", "not YAML"),
        ("- no\n- rule\n", "mapping"),
        ("", "there is no rule in it"),
        ("# only a remark\n---\n", "there is no rule in it"),
    ],
)
def test_a_bad_rule_costs_itself_and_is_named(logs, rules, capsys, text, says):
    (rules / "bad.yml").write_text(text)
    code, found, said = hunt(capsys, logs, "--rules", rules)
    assert (code, len(found)) == (2, 1)
    assert "bad.yml" in said
    assert says in said


def test_a_rule_that_cannot_be_evaluated_is_warned_of(logs, rules, capsys):
    (rules / "later.yml").write_text(RULE.replace("|contains", "|expand").replace("' -enc '", "'%tool%'"))
    code, found, said = hunt(capsys, logs, "--rules", rules)
    assert (code, len(found)) == (1, 1)
    assert "later.yml" in said
    assert "tool" in said


def test_an_empty_folder_of_either_kind_is_bad_input(tmp_path, logs, rules, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    code, found, said = hunt(capsys, empty, logs, "--rules", rules)
    assert (code, len(found)) == (2, 1)
    assert str(empty) in said
    code, found, said = hunt(capsys, logs, "--rules", rules, "--rules", empty)
    assert (code, len(found)) == (2, 1)
    assert str(empty) in said


@pytest.mark.parametrize("missing", ["input", "rules", "source"])
def test_what_is_not_there_is_wrong_use(logs, rules, tmp_path, capsys, missing):
    nowhere = tmp_path / "nowhere"
    arguments = {
        "input": (nowhere, "--rules", rules),
        "rules": (logs, "--rules", nowhere),
        "source": (logs, "--rules", rules, "--source", "frobnicate"),
    }[missing]
    code, found, said = hunt(capsys, *arguments)
    assert (code, found) == (2, [])
    assert ("frobnicate" if missing == "source" else str(nowhere)) in said


def test_compressed_input_is_read_and_named(tmp_path, logs, rules, capsys):
    data = (logs / "good.jsonl").read_bytes()
    (logs / "good.jsonl").unlink()
    (logs / "good.jsonl.zst").write_bytes(zstandard.compress(data))
    code, found, _ = hunt(capsys, logs, "--rules", rules)
    assert (code, [match["record"] for match in found]) == (1, [2])


@pytest.mark.slow
def test_recorded_attacks_of_sigma_fire_their_rules(tmp_path, capsys):
    sets = {
        "samples": DATA / "windows/sigma-regression/sigma-regression.tar.zst",
        "pack": DATA / "sigma-rules/sigma-rules.tar.zst",
    }
    if not all(path.is_file() for path in sets.values()):
        pytest.skip("shared/data is not beside this repository")
    for name, path in sets.items():
        with path.open("rb") as file, zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(file) as plain, \
                tarfile.open(fileobj=plain, mode="r|") as tar:  # fmt: skip
            tar.extractall(tmp_path / name, filter="data")
    want = set()
    chosen = tmp_path / "chosen"
    chosen.mkdir()
    for info in (tmp_path / "samples").rglob("info.yml"):
        ids = {rule["id"] for rule in yaml.safe_load(info.read_text())["rule_metadata"]}
        want |= {(str(evtx), rule) for evtx in info.parent.glob("*.evtx") for rule in ids}
    wanted = {rule for _, rule in want}
    for file in (tmp_path / "pack").rglob("*.yml"):
        text = file.read_text()
        if any(line.startswith("id: ") and line[4:].strip() in wanted for line in text.splitlines()):
            (chosen / file.name).write_text(text)
    _, found, _ = hunt(capsys, tmp_path / "samples", "--rules", chosen)
    fired = {(match["file"], match["rule_id"]) for match in found}
    missed = sorted(want - fired)
    assert len(want) > 100
    assert len(missed) <= len(want) * 0.01, missed[:5]


def test_rules_for_other_logs_are_told_apart(logs, rules, capsys):
    other = RULE.replace("windows", "okta").replace("a001", "a009")
    (rules / "other.yml").write_text(other)
    assert run(["hunt", str(logs), "--rules", str(rules)]) == 1
    assert "2 rules, 1 of them for such logs" in " ".join(capsys.readouterr().out.split())
    (rules / "encoded.yml").unlink()
    code, found, said = hunt(capsys, logs, "--rules", rules)
    assert (code, found) == (0, [])
    assert "none of the rules is for logs of this kind" in said


def test_the_tests_beside_a_rule_are_no_rule_but_others_of_that_name_are(logs, rules, capsys):
    (rules / "tests.yml").write_text("- {name: fires, source: windows, given: samples/a.log, fires: true}\n")
    code, _, said = hunt(capsys, logs, "--rules", rules)
    assert code == 2
    assert "tests.yml" in said
    (rules / "encoded.yml").rename(rules / "rule.yml")
    code, found, said = hunt(capsys, logs, "--rules", rules)
    assert (code, len(found), said) == (1, 1, "")


def test_two_rules_of_one_id_are_two_rows(logs, rules, capsys):
    (rules / "twin.yml").write_text(RULE.replace("title: ", "title: Twin of "))
    run(["hunt", str(logs), "--rules", str(rules)])
    assert "2 matches of 2 rules" in " ".join(capsys.readouterr().out.split())


def test_first_and_last_are_by_time_also_where_days_come_first(tmp_path, capsys):
    log = tmp_path / "access.log"
    days = ("31/Jan/2026", "01/Feb/2026", "02/Feb/2026")
    log.write_text(
        "".join(
            f'192.0.2.1 - - [{day}:00:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "sqlmap/1.8"\n' for day in days
        )
    )
    assert run(["hunt", str(log)]) == 1
    shown = capsys.readouterr().out
    assert shown.index("31/Jan/2026") < shown.index("02/Feb/2026")


def test_where_no_rule_can_be_used_nothing_was_looked_for(logs, tmp_path, capsys):
    rule = tmp_path / "rule.yml"
    rule.write_text(RULE.replace("CommandLine|contains: ' -enc '", "User|expand: '%admins%'"))
    assert run(["hunt", str(logs), "--rules", str(rule), "--json"]) == 2
    said = capsys.readouterr().err.replace("\n", " ")
    assert "admins" in said
    assert "nothing was looked for" in said


def exception(folder, name, *, expires="2026-12-31", rules="[7f3a5e0c-1b7d-5a41-9d55-0d4a5bb7a001]"):
    place = folder / name
    place.mkdir(parents=True)
    (place / "filter.yml").write_text(
        f"title: Ours\nlogsource: {{product: windows}}\nfilter:\n  rules: {rules}\n"
        "  ours: {CommandLine|endswith: ' ours'}\n  condition: not ours\n"
        f"x-lemnis: {{owner: priya, expires: {expires}, reason: our own scripts do that}}\n"
    )
    return place


@pytest.mark.parametrize("several", [False, True])
def test_exceptions_hold_matches_back_up_to_their_last_day_and_say_so(
    tmp_path, rules, capsys, monkeypatch, several
):
    logs = tmp_path / "logs"
    logs.mkdir()
    for number in range(2):
        lines = [event(2 * number, "p.exe -enc aaa ours"), event(2 * number + 1, "p.exe -enc bbb")]
        (logs / f"{number}.jsonl").write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    if several:
        monkeypatch.setattr("lemnis.app.hunt_jobs.WORTH", 0)
        monkeypatch.setattr("lemnis.app.hunt_jobs.SMALL", 1)
    exception(tmp_path / "made", "own_scripts")
    exception(tmp_path / "old", "ended", expires="2025-12-31")
    options = ["--rules", rules, "--jobs", "2"]
    code, found, err = hunt(capsys, logs, *options)
    assert (code, len(found)) == (1, 4)
    code, found, err = hunt(
        capsys, logs, *options, "--exceptions", tmp_path / "made", "--exceptions", tmp_path / "old"
    )
    assert (code, [one["event"]["CommandLine"] for one in found]) == (1, ["p.exe -enc bbb"] * 2)
    assert "2 matches held back by the exception own_scripts" in err
    assert "ended" not in err


def test_a_bad_exception_holds_nothing_back_and_is_told(tmp_path, rules, logs, capsys):
    exception(tmp_path / "made", "no_day", expires="someday")
    exception(tmp_path / "made", "of_another", rules="[gone]")
    code, found, err = hunt(capsys, logs, "--rules", rules, "--exceptions", tmp_path / "made")
    assert (code, len(found)) == (2, 1)
    assert "no_day/filter.yml:7" in err
    assert "it is for none of these rules" in err
    (tmp_path / "empty").mkdir()
    assert hunt(capsys, logs, "--rules", rules, "--exceptions", tmp_path / "empty")[0] == 2
    assert hunt(capsys, logs, "--rules", rules, "--exceptions", tmp_path / "nowhere")[0] == 2


def test_ctrl_c_waits_until_a_process_is_begun_and_does_not_reach_it():
    asked = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    begun = []
    with pytest.raises(KeyboardInterrupt), undisturbed():  # noqa: PT012 - it is raised at the end
        os.kill(os.getpid(), signal.SIGINT)
        begun.append(
            subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
        )
    assert [one.stdout.strip() for one in begun] == ["True"]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
