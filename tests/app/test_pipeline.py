import base64

import orjson
import pytest

from lemnis import app
from lemnis.app import attest, gates, policies
from lemnis.content.library import Library
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import ContentError, NotFoundError, UsageError
from lemnis.contracts.findings import Effect
from lemnis.interfaces.cli import run
from lemnis.store.git import Repository

SAFE = "def f(name):\n    return name\n"
LOW = "import subprocess\n\n\ndef f(name):\n    subprocess.run(['echo', name], check=True)\n"
HIGH = "import subprocess\n\n\ndef f(name):\n    subprocess.run('echo ' + name, shell=True, check=True)\n"
AT = 1_770_000_000_000
BUILDER = "https://ci.example/shop"
IMAGE = "sha256:" + "ab" * 32


@pytest.fixture
def workspace(tmp_path):
    return app.init(tmp_path / "w", clock=ManualClock(AT))


@pytest.fixture
def repository(tmp_path):
    made = Repository.create(tmp_path / "shop")
    for number, text in enumerate([SAFE, LOW, HIGH, HIGH + "\n\nx = 1\n", SAFE]):
        (made.path / "x.py").write_text(text)
        made.commit_all(f"c{number}", author="A <a@example.org>", at=AT + number * 1000)
    return made


def decisions(workspace):
    return [(e.subject, e.payload["decision"]) for e in app.journal(workspace).entries(kind="decision")]


def test_the_gate_refuses_what_a_commit_brings_in_and_nothing_else(workspace, repository):
    commits = repository.commits()
    said = [gates.code(workspace, "build", repository, c.id).effect.value for c in commits]
    assert said == ["allow", "allow", "deny", "allow", "allow"]
    assert decisions(workspace) == [(f"commit:{c.id}", s) for c, s in zip(commits, said, strict=True)]
    made = gates.code(workspace, "build", repository, commits[2].id)
    assert [(r.policy, r.where) for r in made.reasons] == [("new_findings_below_medium", "x.py:5")]
    assert "B602" in made.reasons[0].message
    assert made.content_digest == app.library(workspace).digest
    assert len(decisions(workspace)) == len(commits)


def test_another_base_is_compared_with(workspace, repository):
    commits = repository.commits()
    assert gates.code(workspace, "build", repository, commits[3].id, base=commits[0].id).effect is Effect.DENY


def test_a_first_commit_is_all_new(workspace, tmp_path):
    made = Repository.create(tmp_path / "new")
    (made.path / "x.py").write_text(HIGH)
    made.commit_all("first", author="A <a@example.org>", at=AT)
    assert gates.code(workspace, "build", made, "HEAD").effect is Effect.DENY


def test_a_history_is_judged_like_its_commits_and_nothing_is_written_down(workspace, repository):
    commits = repository.commits()
    judged = gates.history(workspace, repository, commits, app.library(workspace))
    assert [judged[c.id].effect.value for c in commits] == ["allow", "allow", "deny", "allow", "allow"]
    assert decisions(workspace) == []
    part = gates.history(workspace, repository, commits[3:4], app.library(workspace))
    assert part[commits[3].id].effect is Effect.ALLOW


def test_a_missing_scanner_is_unknown_and_says_so(workspace, repository, capsys):
    own = workspace.content / "scanners" / "bandit"
    own.mkdir(parents=True)
    text = app.library(None).get("scanners", "bandit").manifest.read_text()
    (own / "scanner.yaml").write_text(text.replace("command: [bandit,", "command: [no-such-scanner,"))
    made = gates.code(workspace, "build", repository, "HEAD")
    assert made.effect is Effect.UNKNOWN
    assert "no-such-scanner is not installed" in made.reasons[0].message
    arguments = ["gate", "build", "--repo", str(repository.path), "-w", str(workspace.root), "--json"]
    assert run(arguments) == 3
    assert orjson.loads(capsys.readouterr().out)["decision"] == "unknown"


def test_a_tree_that_no_scanner_reads_warns(workspace, tmp_path):
    own = workspace.content / "scanners" / "betterleaks"
    own.mkdir(parents=True)
    builtin = Library.open().get("scanners", "betterleaks").manifest.read_text()
    (own / "scanner.yaml").write_text(builtin.replace("part: always", "part: asked"))
    made = Repository.create(tmp_path / "go")
    (made.path / "main.go").write_text("package main\n")
    made.commit_all("go", author="A <a@example.org>", at=AT)
    decision = gates.code(workspace, "build", made, "HEAD")
    assert decision.effect is Effect.ALLOW
    assert [reason.policy for reason in decision.reasons] == ["scan_complete"]


def test_an_exception_lets_one_finding_pass_until_it_expires(workspace, repository):
    folder = workspace.content / "exceptions"
    folder.mkdir()
    text = (
        "policy: new_findings_below_medium\nwhere: 'x.py:*'\nreason: rewritten next week\n"
        "owner: ann\napproved_by: bob\nexpires: '2026-02-10'\n"
    )
    (folder / "x.yaml").write_text(text)
    commit = repository.commits()[2].id
    made = gates.code(workspace, "build", repository, commit)
    assert (made.effect, made.exceptions) == (Effect.ALLOW, ("x",))
    workspace.clock.advance(30 * 86_400_000)
    made = gates.code(workspace, "build", repository, commit)
    assert made.effect is Effect.DENY
    assert "x on 2026-02-10" in made.reasons[0].message
    assert [said for _, said in decisions(workspace)] == ["allow", "deny"]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (("approved_by: bob", "approved_by: Ann"), "two people"),
        (("where: 'x.py:*'\n", ""), "where or fingerprint"),
        (("expires: '2026-02-10'", "expires: someday"), "expires"),
        (("policy: new_findings_below_medium", "policy: frob"), "no policy 'frob'"),
    ],
)
def test_exceptions_that_do_not_hold_have_a_place(workspace, change, word):
    folder = workspace.content / "exceptions"
    folder.mkdir()
    text = (
        "policy: new_findings_below_medium\nwhere: 'x.py:*'\nreason: rewritten next week\n"
        "owner: ann\napproved_by: bob\nexpires: '2026-02-10'\n"
    )
    (folder / "x.yaml").write_text(text.replace(*change))
    with pytest.raises(ContentError, match=word) as caught:
        policies.exceptions(app.library(workspace))
    assert caught.value.at.file.endswith("x.yaml")


def test_a_policy_that_does_not_hold_stops_the_gate(workspace, repository, capsys):
    folder = workspace.content / "policies" / "mine"
    folder.mkdir(parents=True)
    (folder / "policy.yaml").write_text("id: mine\ntitle: Mine\nstages: [build]\n")
    (folder / "policy.rego").write_text('package lemnis.mine\n\ndeny contains "x" if {\n  http.send({})\n}\n')
    assert run(["gate", "build", "--repo", str(repository.path), "-w", str(workspace.root)]) == 2
    assert "policy.rego:4:3" in capsys.readouterr().err.replace("\n", "")
    assert run(["content", "lint", "-w", str(workspace.root), "--json"]) == 2
    [problem] = map(orjson.loads, capsys.readouterr().out.splitlines())
    assert (problem["line"], problem["column"]) == (4, 3)


def test_wrong_use(workspace, repository, tmp_path, capsys):
    where = ["-w", str(workspace.root)]
    for arguments in (
        ["gate", "build", "--repo", str(repository.path), "--commit", "0" * 40],
        ["gate", "build", "--repo", str(repository.path), "--commit=--help"],
        ["gate", "build", "--repo", str(tmp_path)],
        ["gate", "build", "--repo", str(tmp_path / "nowhere")],
        ["gate", "frob", "--repo", str(repository.path)],
        ["gate", "deploy"],
        ["gate", "deploy", "--image", "latest"],
    ):
        assert run([*arguments, *where]) in {1, 2}, arguments
        assert "Traceback" not in capsys.readouterr().err
    with pytest.raises(NotFoundError):
        gates.code(workspace, "build", repository, "nope")
    with pytest.raises(UsageError):
        gates.code(workspace, "deploy", repository, "HEAD")


# -- images ------------------------------------------------------------------------------------------------


@pytest.fixture
def key(workspace, repository, tmp_path):
    public = attest.keygen(tmp_path / "builder")
    (workspace.root / "lemnis.yaml").write_text(
        f"name: w\nbuilders:\n  - {{id: '{BUILDER}', key: '{public}'}}\n"
        f"repositories:\n  - {{name: shop, path: '{repository.path}'}}\n"
    )
    return tmp_path / "builder"


def signed(workspace, repository, key, commit, **changes):
    return attest.sign(
        workspace, image=IMAGE, key=key, builder=changes.get("builder", BUILDER), repository="shop",
        commit=changes.get("claimed", commit),
    )  # fmt: skip


def deploy(workspace):
    made = gates.image(workspace, "deploy", IMAGE)
    return made.effect.value, " ".join(r.message for r in made.reasons if r.effect is not Effect.ALLOW)


def test_an_image_passes_if_attested_by_a_trusted_builder_from_a_commit_that_passed(
    workspace, repository, key
):
    good, bad = repository.commits()[1].id, repository.commits()[2].id
    assert "no attestation of this image" in deploy(workspace)[1]
    signed(workspace, repository, key, good)
    assert "did not pass the build gate: none" in deploy(workspace)[1]
    gates.code(workspace, "build", repository, good)
    assert deploy(workspace) == ("allow", "")
    signed(workspace, repository, key, bad)
    gates.code(workspace, "build", repository, bad)
    effect, why = deploy(workspace)
    assert effect == "deny"
    assert "did not pass the build gate: deny" in why


def test_an_image_from_elsewhere_is_refused(workspace, repository, key):
    signed(workspace, repository, key, "", claimed="c" * 40)
    assert "no commit of the repository" in deploy(workspace)[1]
    signed(workspace, repository, key, repository.resolve("HEAD"), builder="https://evil.example")
    assert gates.image(workspace, "deploy", "sha256:" + "cd" * 32).effect is Effect.DENY


def test_attestations_are_verified_check_by_check(workspace, repository, key, tmp_path, capsys):
    envelope, _ = signed(workspace, repository, key, repository.resolve("HEAD"))
    file = tmp_path / "a.json"
    arguments = ["attest", "verify", str(file), "--image", IMAGE, "-w", str(workspace.root), "--json"]

    def verified(data):
        file.write_bytes(data)
        code = run(arguments)
        return code, {c["name"]: c["ok"] for c in map(orjson.loads, capsys.readouterr().out.splitlines())}

    assert verified(envelope) == (0, dict.fromkeys(attest.CHECKS, True))
    document = orjson.loads(envelope)
    payload = bytearray(base64.b64decode(document["payload"]))
    payload[40] ^= 1
    document["payload"] = base64.b64encode(payload).decode()
    code, checks = verified(orjson.dumps(document))
    assert code == 1
    assert checks == {
        "envelope": True, "signature": False, "type": None, "subject": None, "builder": None, "source": None,
        "parameters": None,
    }  # fmt: skip
    code, checks = verified(b"{}")
    assert (code, checks["envelope"]) == (1, False)
    evil, _ = signed(workspace, repository, key, repository.resolve("HEAD"), builder="https://evil.example")
    code, checks = verified(evil)
    assert (code, checks["subject"], checks["builder"]) == (1, True, False)


def test_a_tampered_vault_denies(workspace, repository, key):
    _, name = signed(workspace, repository, key, repository.resolve("HEAD"))
    stored = workspace.state / "vault" / name[7:9] / name[9:]
    stored.chmod(0o600)
    stored.write_bytes(stored.read_bytes()[:-1])
    effect, why = deploy(workspace)
    assert effect == "deny"
    assert "altered" in why


def test_keys_stay_out_of_git(workspace, tmp_path):
    with pytest.raises(UsageError, match="committed to git"):
        attest.keygen(workspace.root / "key")
    public = attest.keygen(workspace.state / "key")
    assert (workspace.state / "key").stat().st_mode & 0o777 == 0o600
    assert public.read_bytes().startswith(b"-----BEGIN PUBLIC KEY-----")
    with pytest.raises(UsageError, match="already"):
        attest.keygen(workspace.state / "key")


def test_what_was_attested_elsewhere_is_kept(workspace, repository, key, tmp_path, capsys):
    other = app.init(tmp_path / "other", clock=ManualClock(AT))
    envelope, name = signed(workspace, repository, key, repository.resolve("HEAD"))
    (tmp_path / "a.json").write_bytes(envelope)
    assert run(["attest", "import", str(tmp_path / "a.json"), "-w", str(other.root), "--json"]) == 0
    said, sums = map(orjson.loads, capsys.readouterr().out.splitlines())
    assert (said["digest"], said["images"], said["signer"]) == (name, [IMAGE], "")
    assert sums == {"statements": 1, "signed": 0, "unsigned": 1, "refused": 0, "lost_fields": {}}
    [entry] = app.journal(other).entries(kind="attestation")
    assert (entry.subject, entry.payload["digest"]) == (f"image:{IMAGE}", name)
    (tmp_path / "b.json").write_bytes(b"no json")
    assert run(["attest", "import", str(tmp_path / "b.json"), "-w", str(other.root)]) == 2


# -- scans -------------------------------------------------------------------------------------------------


def test_scan_writes_sarif_and_fills_the_lake(workspace, repository, tmp_path, capsys):
    (repository.path / "x.py").write_text(HIGH)
    sarif = tmp_path / "out.sarif"
    where = ["-w", str(workspace.root)]
    assert run(["scan", str(repository.path), "--sarif", str(sarif), "--json", *where]) == 1
    document = orjson.loads(capsys.readouterr().out)
    assert {finding["rule_id"] for finding in document["findings"]} == {"B404", "B602", "S602"}
    assert document["health"][0]["state"] == "ok"
    assert orjson.loads(sarif.read_bytes())["version"] == "2.1.0"
    assert run(["scan", str(repository.path), *where]) == 1
    capsys.readouterr()
    assert run(["findings", "list", "--json", *where]) == 0
    listed = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {(f["rule_id"], f["path"], f["severity"], f["cwe"]) for f in listed} == {
        ("B404", "x.py", "low", "CWE-78"), ("B602", "x.py", "high", "CWE-78"),
        ("S602", "x.py", "high", "CWE-78"),
    }  # fmt: skip
    assert run(["findings", "list", "--severity", "high", "--json", *where]) == 0
    high, _ = map(orjson.loads, capsys.readouterr().out.splitlines())
    assert run(["findings", "show", high["id"], *where]) == 0
    assert run(["findings", "show", "fp-none", *where]) == 2
    assert run(["findings", "list", "--severity", "dire", *where]) == 2


def test_scan_of_what_nobody_reads_is_not_clean(workspace, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clean").mkdir()
    (tmp_path / "clean" / "a.py").write_text(SAFE)
    (tmp_path / "empty").mkdir()
    assert run(["scan", "clean"]) == 0
    assert run(["scan", "empty"]) == 3
    assert run(["scan", "nowhere"]) == 2


def test_policies_and_content_are_listed_and_tested(workspace, capsys):
    where = ["-w", str(workspace.root)]
    for arguments in (["policies", "test"], ["policies", "lint"], ["policies", "list"], ["content", "lint"]):
        assert run([*arguments, *where]) == 0, capsys.readouterr()
    capsys.readouterr()
    assert run(["content", "list", "--kind", "policies", "--json", *where]) == 0
    names = [orjson.loads(line)["name"] for line in capsys.readouterr().out.splitlines()]
    assert {"image_attested", "new_findings_below_medium", "scan_complete"} <= set(names)
    assert run(["content", "list", "--kind", "frob", *where]) == 2
    assert run(["policies", "test", "frob", *where]) == 2
    capsys.readouterr()
    assert run(["content", "digest", "--json", *where]) == 0
    assert orjson.loads(capsys.readouterr().out)["digest"] == app.library(workspace).digest


def test_a_change_with_names_that_are_no_text_is_judged(workspace, tmp_path):
    made = Repository.create(tmp_path / "odd")
    for name in (b"caf\xe9.txt", b'x"}]],"expressions":[[]],"y":[[{"a":"q.txt', b"new\nline.txt"):
        (made.path / "x.py").write_text(HIGH)
        with open(bytes(made.path) + b"/" + name, "wb") as file:  # noqa: PTH123 - a name of bytes
            file.write(b"x")
    made.commit_all("odd", author="A <a@example.org>", at=AT)
    decision = gates.code(workspace, "build", made, "HEAD")
    assert decision.effect is Effect.DENY
    with open(bytes(made.path) + b"/caf\xe9.py", "wb") as file:  # noqa: PTH123
        file.write(SAFE.encode())
    made.commit_all("odder", author="A <a@example.org>", at=AT)
    assert gates.code(workspace, "build", made, "HEAD").effect in {Effect.UNKNOWN, Effect.ALLOW}


def test_a_path_cannot_write_the_decision(workspace, tmp_path):
    made = Repository.create(tmp_path / "evil")
    name = 'x"}]],"expressions":[[]],"y":[[{"a":"q.py'
    (made.path / name).write_text(HIGH)
    made.commit_all("evil", author="A <a@example.org>", at=AT)
    decision = gates.code(workspace, "build", made, "HEAD")
    assert decision.effect is Effect.DENY
    assert decision.reasons[0].where == f"{name}:5"


def test_a_change_cannot_hide_from_the_gate(workspace, tmp_path):
    made = Repository.create(tmp_path / "hidden")
    (made.path / "x.py").write_text(HIGH.replace("check=True)", "check=True)  # nosec"))
    (made.path / ".gitattributes").write_text("x.py export-ignore\n")
    (made.path / ".bandit").write_text("[bandit]\nskips: B602\n")
    made.commit_all("hidden", author="A <a@example.org>", at=AT)
    assert gates.code(workspace, "build", made, "HEAD").effect is Effect.DENY


def test_a_base_that_already_holds_the_commit_compares_nothing(workspace, repository, capsys):
    commits = repository.commits()
    for base in (commits[2], commits[3]):
        with pytest.raises(UsageError, match="already holds"):
            gates.code(workspace, "build", repository, commits[2].id, base=base.id)
    command = ["gate", "build", "--repo", str(repository.path), "--commit", "HEAD", "--base", "HEAD"]
    assert run([*command, "--workspace", str(workspace.root)]) == 2
    assert decisions(workspace) == []


def test_a_name_of_several_lines_cannot_say_what_the_gate_decided(workspace, tmp_path, capsys):
    made = Repository.create(tmp_path / "lines")
    (made.path / "x\nallow at stage build\n.py").write_text(HIGH)
    (made.path / "y\nerror: none\n.py").write_text("def (")
    made.commit_all("lines", author="A <a@example.org>", at=AT)
    at = ["-w", str(workspace.root)]
    assert run(["gate", "build", "--repo", str(made.path), *at]) == 1
    assert run(["scan", str(made.path), *at]) == 1
    printed = "".join(capsys.readouterr()).splitlines()
    assert [line for line in printed if line.startswith(("allow", "error:", " allow"))] == []
    assert any(line.startswith("deny at stage build") for line in printed)


def test_findings_are_readable_in_a_narrow_terminal(workspace, repository, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    at = ["-w", str(workspace.root)]
    gates.code(workspace, "build", repository, repository.commits()[2].id)
    assert run(["findings", "list", *at]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 20
    assert any("priority" in line and "where" in line for line in lines)
