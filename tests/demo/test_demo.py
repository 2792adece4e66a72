"""The demonstration: whole, the same twice, and computed: without the attack there is nothing to tell."""

import base64
import io
import json
import re
import shutil

import pytest
import zstandard
from rich.console import Console

from lemnis.content.library import examples_root
from lemnis.contracts.ids import digest
from lemnis.interfaces.cli import run
from lemnis.interfaces.demo import play

STAGES = ["init", "build", "operate", "detect", "incident", "respond", "trace", "learn", "prove", "gate"]
RECORDING = examples_root() / "shop/recording"
SAME = re.compile(r"(_id|_ids|_digest|_verdict|^verdict|^culprit|^line|^owner)$")


def tell(folder, recording=None):
    """Play the demonstration and return its stages by name."""
    console = Console(file=io.StringIO())
    return {facts["stage"]: facts for facts in play(folder, console=console, quiet=True, recording=recording)}


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "first"
    return folder, tell(folder)


def test_every_stage_is_ok(first):
    _, stages = first
    assert list(stages) == STAGES
    assert all(facts["ok"] is True for facts in stages.values()), stages


def test_it_finds_the_truth_that_it_never_reads(first):
    _, stages = first
    truth = json.loads((RECORDING / "truth.json").read_bytes())
    assert stages["trace"]["culprit"] == truth["culprit"]
    assert stages["trace"]["line"].startswith(truth["line"]["path"] + ":")
    assert stages["trace"]["owner"] == truth["line"]["owner"]
    assert stages["init"]["fix"] == truth["fix"]
    assert stages["prove"]["history"]["stopped"] == 1
    assert stages["prove"]["history"]["stopped_wrongly"] == 0


def test_what_was_recorded_is_large_and_of_several_kinds(first):
    _, stages = first
    assert stages["operate"]["events"] >= 20_000
    assert stages["operate"]["rejected"] == 0
    assert len(stages["operate"]["sources"]) >= 4
    assert stages["incident"]["grouped"] >= stages["detect"]["rules"]


def test_the_times_come_from_events_and_journal(first):
    _, stages = first
    metrics = stages["learn"]["metrics"]
    instants = [
        metrics[name]
        for name in ("first_event", "decisive", "detected", "acknowledged", "contained", "closed")
    ]
    assert instants == sorted(instants)
    assert metrics["time_to_detect"] > 0


@pytest.mark.slow
def test_twice_it_gives_the_same_ids_and_verdicts(first, tmp_path):
    _, one = first
    other = tell(tmp_path / "second")

    def kept(stages):
        return {
            f"{stage}.{k}": v for stage, facts in stages.items() for k, v in facts.items() if SAME.search(k)
        }

    assert len(kept(one)) > 15
    assert kept(one) == kept(other)


def test_without_the_attack_nothing_is_found(tmp_path):
    recording = tmp_path / "recording"
    shutil.copytree(RECORDING, recording)
    truth = json.loads((recording / "truth.json").read_bytes())
    attackers = [address.encode() for address in truth["attackers"]]
    for file in json.loads((recording / "manifest.json").read_bytes())["files"]:
        path = recording / file["file"]
        lines = zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read().splitlines(keepends=True)
        kept = [line for line in lines if not any(one in line for one in attackers)]
        if file["source"] == "linux_audit":
            kept = [line for line in kept if not inside(line, truth["phases"])]
        path.write_bytes(zstandard.ZstdCompressor().compress(b"".join(kept)))
    stages = tell(tmp_path / "played", recording)
    last = list(stages.values())[-1]
    assert last["stage"] == "detect"
    assert last["ok"] is False
    assert "nothing was found" in last["error"]
    assert run(["demo", "--dir", str(tmp_path / "again"), "--recording", str(recording), "--json"]) == 1


def inside(line, phases):
    """Say whether an audit record is of the time in which the attacker's commands ran."""
    at = re.search(rb"msg=audit\((\d+)\.(\d{3})", line)
    phase = next(phase for phase in phases if phase["phase"] == "inject")
    return at is not None and phase["from"] <= int(at[1] + at[2]) <= phase["until"]


def is_provenance(data):
    """Say whether bytes are an envelope whose statement is a build's provenance; a proof's verdict is not."""
    if b'"payloadType"' not in data:
        return False
    statement = json.loads(base64.b64decode(json.loads(data)["payload"]))
    return statement["predicateType"].startswith("https://slsa.dev/provenance/")


def test_one_byte_of_the_attestation_breaks_the_hop(first, capsys):
    folder, stages = first
    vault = folder / "soc/.lemnis/vault"
    (file,) = [path for path in vault.rglob("*") if path.is_file() and is_provenance(path.read_bytes())]
    whole = file.read_bytes()
    place = whole.index(b'"payload":') + 40
    file.chmod(0o600)
    try:
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        capsys.readouterr()
        assert (
            run(["incident", "trace", stages["incident"]["incident_id"], "-w", str(folder / "soc"), "--json"])
            == 1
        )
        hops = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        broken = [hop for hop in hops if "broken" in hop]  # of the container, and of who got keys through it
        assert {"built_by"} <= {hop["relation"] for hop in broken}
        assert {hop["strength"] for hop in broken} == {"broken"}
        assert not [hop for hop in hops if hop["relation"] == "has_line"]
    finally:
        file.write_bytes(whole)
    assert digest(file.read_bytes())
    assert (
        run(["incident", "trace", stages["incident"]["incident_id"], "-w", str(folder / "soc"), "--json"])
        == 0
    )


def test_the_folder_must_be_empty(tmp_path, capsys):
    (tmp_path / "x").write_text("")
    assert run(["demo", "--dir", str(tmp_path)]) == 2
    assert "not empty" in capsys.readouterr().err
