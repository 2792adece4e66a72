"""The recording: whole, of the image it says, readable without a reject, and free of the machine's traces."""

import functools
import hashlib
import json
import re
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest
import zstandard

from lemnis.content.library import Library
from lemnis.ingest import reading
from lemnis.ingest.sources import Sources
from lemnis.ingest.streams import Stream
from lemnis.interfaces.cli import run

SHOP = Path(__file__).parents[2] / "examples/shop"
RECORDING = SHOP / "recording"
MANIFEST = json.loads((RECORDING / "manifest.json").read_bytes())
TRUTH = json.loads((RECORDING / "truth.json").read_bytes())
FILES = {file["source"]: file for file in MANIFEST["files"]}
ATTACKERS = set(TRUTH["attackers"])


@functools.cache
def _read(source):
    packed = (RECORDING / FILES[source]["file"]).read_bytes()
    return zstandard.ZstdDecompressor().stream_reader(packed).read()


def _lines(source):
    return _read(source).decode().splitlines()


def _records(source):
    return [json.loads(line) for line in _lines(source)]


@pytest.mark.parametrize("source", FILES)
def test_the_files_are_those_of_the_manifest(source):
    file, content = FILES[source], _read(source)
    packed = (RECORDING / file["file"]).read_bytes()
    assert hashlib.sha256(packed).hexdigest() == file["sha256"]
    assert hashlib.sha256(content).hexdigest() == file["sha256_unpacked"]
    assert (len(content), content.count(b"\n")) == (file["bytes"], file["lines"])
    assert len(packed) < 3_000_000


def test_there_is_enough_of_every_kind():
    assert set(FILES) == {
        "web_combined",
        "linux_audit",
        "linux_syslog",
        "aws_cloudtrail",
        "container_runtime",
    }
    assert MANIFEST["events"] == sum(file["events"] for file in FILES.values()) >= 20_000
    assert all(file["events"] >= 100 for file in FILES.values())
    assert {path.name for path in RECORDING.iterdir()} == {
        *(file["file"] for file in FILES.values()), "manifest.json", "truth.json"
    }  # fmt: skip


@pytest.mark.parametrize("source", FILES)
def test_every_record_is_recognised_and_read_without_a_reject(source):
    sources = Sources.load(Library.open())
    stream = Stream(RECORDING / FILES[source]["file"])
    count, rejects = 0, []
    for found, parsed in reading.read(stream, sources):
        assert found.name == source
        count += len(parsed.records)
        rejects += parsed.rejects
    assert not rejects
    assert count == FILES[source]["events"]


@pytest.mark.parametrize("source", FILES)
def test_no_trace_of_the_machine_is_left(source):
    traces = rb"/work|/root/\.|\.cargo|/tmp/\w|/run/shop-|examples/shop|record\.py|-fc-|firecracker"
    assert re.search(traces, _read(source)) is None
    home = set(re.findall(rb"/home/(\w+)", _read(source)))
    assert home <= {b"priya", b"tomasz", b"health"}


def test_addresses_are_of_ranges_that_nobody_has():
    ours = re.compile(
        r"(10\.20\.0|192\.0\.2|198\.51\.100|203\.0\.113|198\.18\.0|127\.0\.[01]|169\.254\.169)\.\d+|0\.0\.0\.0"
    )
    for source in ("web_combined", "aws_cloudtrail"):
        found = {
            line.split()[0] if source == "web_combined" else json.loads(line)["sourceIPAddress"]
            for line in _lines(source)
        }
        assert found
        assert all(ours.fullmatch(address) for address in found)
    said = set(re.findall(r"(?<![\d.])\d+\.\d+\.\d+\.\d+(?![\d.])", _read("linux_syslog").decode()))
    assert said
    assert all(ours.fullmatch(address) for address in said)


def test_the_keys_are_obviously_made_up():
    keys = {record["userIdentity"]["accessKeyId"] for record in _records("aws_cloudtrail")}
    assert keys
    assert all("EXAMPLE" in key for key in keys)
    assert {record["recipientAccountId"] for record in _records("aws_cloudtrail")} == {"123456789012"}


def test_the_attacked_container_runs_the_image_of_the_release():
    digest = MANIFEST["release"]["digest"]
    attack = TRUTH["phases"][0]["from"] / 1000
    running = {}
    for record in _records("container_runtime"):
        at = datetime.fromisoformat(record["timestamp"][:26] + "+00:00").timestamp()
        if record["topic"] == "/tasks/start" and record["workload"]["name"] == "shop-web" and at < attack:
            running = record["container"]
    assert running["image_digest"] == digest
    # The shell that the attacker's commands ran in was started by that container's first process.
    shells = [
        line for line in _lines("linux_audit") if 'exe="/usr/bin/dash"' in line and "syscall=59" in line
    ]
    late = [line for line in shells if float(line.partition("audit(")[2].partition(":")[0]) > attack]
    assert any(f"ppid={running['pid']} " in line for line in late)


def test_what_the_truth_says_was_done_is_in_the_recording():
    phases = {one["phase"]: one for one in TRUTH["phases"]}
    assert list(phases) == ["scan", "guess", "inject", "use"]
    commands = " ".join(line for line in _lines("linux_audit") if "type=EXECVE" in line)
    assert 'a0="whoami"' in commands
    assert "latest/meta-data/iam/security-credentials/shop-node" in commands
    calls = [r for r in _records("aws_cloudtrail") if r["sourceIPAddress"] in ATTACKERS]
    assert {r["userIdentity"]["arn"] for r in calls} == {TRUTH["session"]}
    names = Counter((r["eventName"], r.get("errorCode")) for r in calls)
    assert names["GetCallerIdentity", None] == names["ListBuckets", None] == 1
    assert names["CreateUser", "AccessDenied"] == 1
    for record in calls:
        at = datetime.fromisoformat(record["eventTime"]).timestamp() * 1000
        assert phases["use"]["from"] - 1000 <= at <= phases["use"]["until"]


def test_around_the_attack_the_same_things_happen_for_good_reasons():
    asked = [line for line in _lines("web_combined") if f'"GET {TRUTH["path"]}?' in line]
    assert sum(line.split()[0] not in ATTACKERS for line in asked) > 100
    commands = [line for line in _lines("linux_audit") if "type=EXECVE" in line and 'a0="curl"' in line]
    assert any("/healthz" in line for line in commands)
    inside = [r for r in _records("aws_cloudtrail") if r["userIdentity"].get("arn") == TRUTH["session"]]
    assert Counter(r["sourceIPAddress"] in ATTACKERS for r in inside)[False] > 100
    assert any("Accepted publickey" in line for line in _lines("linux_syslog"))


def test_the_cluster_is_the_one_of_the_recording():
    world = json.loads((SHOP / "cluster.json").read_bytes())
    assert TRUTH["role"] in world["aws"]
    pods = [one for one in world["kubernetes"] if one["kind"] == "Pod"]
    assert {pod["metadata"]["labels"]["app"] for pod in pods} == {"shop-web", "shop-stock"}
    started = {
        f"containerd://{record['container']['id']}": record["workload"]["pod"]
        for record in _records("container_runtime")
        if record["topic"] == "/tasks/start"
    }
    for pod in pods:
        assert pod["spec"]["containers"][0]["image"] == MANIFEST["release"]["image"]
        assert started[pod["status"]["containerStatuses"][0]["containerID"]] == pod["metadata"]["name"]


def test_the_built_in_rules_fire_on_the_attack_and_on_nothing_else(capsys):
    rules = sorted((SHOP.parents[1] / "content/detections").glob("*/rule.yml"))
    packed = [str(RECORDING / file["file"]) for file in FILES.values()]
    code = run(["hunt", *packed, *(part for rule in rules for part in ("--rules", str(rule))), "--json"])
    assert code == 1, "matches"
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {one["rule_title"] for one in found} >= {
        "Web scanner names itself in its user agent",
        "Web path asked for that only a scanner looks for",
        "SSH login refused for a user that does not exist",
        "Discovery command run by the shell of a service",
        "Instance credentials read from the metadata service by a command-line program",
        "Credentials of a machine's role used from outside its network",
        "Cloud identity or its rights could not be changed for want of permission",
    }
    inject = next(one for one in TRUTH["phases"] if one["phase"] == "inject")
    for one in found:
        if one["file"].endswith(FILES["linux_audit"]["file"]):
            at = float(one["time"]) * 1000
            assert inject["from"] <= at <= inject["until"]
        else:
            assert any(address in json.dumps(one["event"]) for address in ATTACKERS)
