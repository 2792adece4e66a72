import json

from lemnis.interfaces.cli import run


def facts(capsys):
    return {check["name"]: check for check in map(json.loads, capsys.readouterr().out.splitlines())}


def test_a_sound_workspace_is_well(tmp_path, capsys):
    assert run(["init", str(tmp_path / "w"), "--json"]) == 0
    capsys.readouterr()
    assert run(["doctor", "-w", str(tmp_path / "w"), "--json"]) == 0
    found = facts(capsys)
    assert {"python", "git", "scanner bandit", "settings", "journal", "lake", "content"} <= set(found)
    assert all(check["ok"] for check in found.values())


def test_a_broken_setting_is_named_with_its_place(tmp_path, capsys):
    assert run(["init", str(tmp_path / "w"), "--json"]) == 0
    (tmp_path / "w/lemnis.yaml").write_text("name: w\nbuilders: [{id: b}]\n")
    capsys.readouterr()
    assert run(["doctor", "-w", str(tmp_path / "w"), "--json"]) == 3
    settings = facts(capsys)["settings"]
    assert not settings["ok"]
    assert "lemnis.yaml:2" in settings["found"]


def test_a_workspace_that_was_asked_for_must_be_there(tmp_path, capsys):
    assert run(["doctor", "-w", str(tmp_path), "--json"]) == 3
    assert not facts(capsys)["workspace"]["ok"]


def test_a_scanner_without_rules_or_without_what_it_needs_says_so(tmp_path, capsys, monkeypatch):
    for name in ("semgrep", "njsscan", "grype"):
        (tmp_path / name).write_text("#!/bin/sh\necho 1.2.3\n" if name != "grype" else "#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    run(["doctor", "--json"])
    found = facts(capsys)
    assert found["scanner semgrep"]["found"] == "1.2.3, without rules"
    assert "rules/" in found["scanner semgrep"]["fix"]
    assert found["scanner njsscan"]["found"] == "1.2.3"
    assert found["scanner grype"]["found"] == "found, but does not say its version"
    (tmp_path / "semgrep").unlink()
    run(["doctor", "--json"])
    assert facts(capsys)["scanner njsscan"]["found"] == "semgrep is missing, which it needs"
