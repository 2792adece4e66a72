"""Record the telemetry of a real attack on the example shop, in one command, as root on Linux.

    sudo /usr/bin/python3 examples/shop/record/record.py [--seconds 600] [--rate 28] [--output DIR]

See README.md beside this file for what it needs and what it does to the machine (and undoes).
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cluster
import plan

HERE = Path(__file__).resolve().parent
VERSION = "1"
CLOUD, NODE, OUTSIDE = "shop-cloud", "shop-node", "shop-outside"
BEFORE, RELEASE = "11-labels", "17-release"
NEEDED = ("ip", "nft", "crun", "auditd", "auditctl", "rsyslogd", "sshd", "cron", "sshpass", "ssh-keygen",
          "zstd", "git", "curl", "pivot_root", "unshare")  # fmt: skip
# What may never stand in a recording: traces of the machine it was made on.
TRACES = re.compile(rb"/work/|/root/\.|\.cargo|/tmp/[a-z]|/run/shop-node|/home/(?!priya|tomasz|health)")
FILES = {  # source: (what the recorder wrote, the recording's name)
    "web_combined": ("pods/shop-web.log", "access.log"),
    "linux_audit": ("audit/audit.log", "audit.log"),
    "linux_syslog": ("syslog", "syslog"),
    "aws_cloudtrail": ("cloudtrail.jsonl", "cloudtrail.jsonl"),
    "container_runtime": ("containers.jsonl", "containers.jsonl"),
}


def main() -> int:
    """Check, prepare, record, pack."""
    parser = argparse.ArgumentParser(description="Record a real attack on the example shop.")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--rate", type=float, default=28, help="web requests a second")
    parser.add_argument("--output", type=Path, default=HERE.parent / "recording")
    parser.add_argument("--cluster", type=Path, default=HERE.parent / "cluster.json")
    arguments = parser.parse_args()
    missing = [program for program in NEEDED if shutil.which(program) is None]
    if os.geteuid() != 0 or missing:
        print(f"needs root and: {' '.join(missing) or 'nothing else'}; see README.md", file=sys.stderr)
        return 3
    os.umask(0o022)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # clean up, whoever ends it
    work = Path(tempfile.mkdtemp(prefix="shop-recording-", dir="/run"))
    try:
        made = _prepare(work)
        _networks()
        facts = _record(work, made, arguments.seconds, arguments.rate)
        _pack(work, made, facts, arguments.output)
        cluster.write(arguments.output, arguments.cluster)
    except BaseException:
        _tell(f"not recorded; what was written so far is in {work}")
        raise
    finally:
        _remove_networks()
    shutil.rmtree(work)
    return 0


def _prepare(work: Path) -> dict[str, Any]:
    """Make the history, build the two releases, and make keys."""
    for name in ("log/pods", "log/audit", "images", "keys"):
        (work / name).mkdir(parents=True)
    history = subprocess.run(
        [sys.executable, str(HERE.parent / "make_history.py"), str(work / "shop"), "--json"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    made: dict[str, Any] = json.loads(history.stdout)
    made["digests"] = {}
    for name in (BEFORE, RELEASE):
        built = subprocess.run(
            [sys.executable, str(work / "shop/tools/build_image.py"), "--repository", str(work / "shop"),
             "--commit", made["commits"][name], "--output", str(work / "images" / name)],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        made["digests"][name] = built.stdout.strip()
    for name in plan.OPERATORS:
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(work / "keys" / name))
    return made


def _networks() -> None:
    """Make three namespaces: the cloud in the middle routes between the node and the outside; no way out."""
    _remove_networks()
    for name in (CLOUD, NODE, OUTSIDE):
        _run("ip", "netns", "add", name)
        _ip(name, "link", "set", "lo", "up")
    for far, name in ((NODE, "node"), (OUTSIDE, "out")):
        _run("ip", "-n", CLOUD, "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", far)
        _ip(CLOUD, "link", "set", name, "up")
        _ip(far, "link", "set", "eth0", "up")
    for where, device, address in (
        (CLOUD, "node", f"{plan.GATEWAY}/24"),
        (CLOUD, "out", f"{plan.OUTSIDE_GATEWAY}/30"),
        *((CLOUD, "lo", f"{address}/32") for address in (plan.METADATA, plan.API, plan.SHOP_PUBLIC)),
        *((NODE, "eth0", f"{address}/24") for address in (plan.NODE_ADDRESS, plan.WEB[0], plan.STOCK[0])),
        (OUTSIDE, "eth0", f"{plan.OUTSIDE}/30"),
        *((OUTSIDE, "lo", f"{a}/32") for a in (plan.OFFICE, plan.RUNNER, *plan.ATTACKERS, *plan.SHOPPERS)),
    ):
        _ip(where, "address", "add", address, "dev", device)
    _ip(NODE, "route", "add", "default", "via", plan.GATEWAY, "src", plan.NODE_ADDRESS)
    _ip(OUTSIDE, "route", "add", "default", "via", plan.OUTSIDE_GATEWAY)
    for network in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"):
        _ip(CLOUD, "route", "add", network, "via", plan.OUTSIDE)
    _inside(CLOUD, "sysctl", "-qw", "net.ipv4.ip_forward=1")
    rules = f"""
    table ip shop {{
      chain in {{
        type nat hook prerouting priority dstnat;
        ip daddr {plan.SHOP_PUBLIC} tcp dport 80 dnat to {plan.WEB[0]}:{plan.WEB[1]}
        ip daddr {plan.SHOP_PUBLIC} tcp dport 22 dnat to {plan.NODE_ADDRESS}:22
      }}
      chain pass {{
        type filter hook forward priority filter; policy accept;
        ip daddr {plan.METADATA} iifname "out" drop
      }}
      chain local {{
        type filter hook input priority filter; policy accept;
        ip daddr {plan.METADATA} iifname "out" drop
      }}
    }}"""
    subprocess.run(["ip", "netns", "exec", CLOUD, "nft", "-f", "-"], input=rules, text=True, check=True)


def _record(work: Path, made: dict[str, Any], seconds: float, rate: float) -> dict[str, Any]:
    """Start everything, let it run, attack in the middle, stop; return when what happened."""
    python = [sys.executable, "-B"]
    running: list[subprocess.Popen[Any]] = []

    def start(namespace: str, *command: str, **options: Any) -> subprocess.Popen[Any]:
        running.append(subprocess.Popen(["ip", "netns", "exec", namespace, *command], **options))
        return running[-1]

    pace = min(1.0, seconds / 840)
    try:
        start(CLOUD, *python, str(HERE / "cloud.py"), str(work / "log/cloudtrail.jsonl"))
        node = start(
            NODE, "unshare", "--mount", "--uts", *python, str(HERE / "node.py"), str(work),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        _expect(node, "ready")
        # The audit daemon's own start and the loading of its rules are not part of the recording.
        skip = (work / "log/audit/audit.log").stat().st_size
        began = time.time_ns() // 1_000_000
        _say(node, f"deploy {BEFORE}")
        start(OUTSIDE, *python, str(HERE / "traffic.py"), str(work), str(seconds), str(rate))
        _tell(f"recording for {seconds:.0f} s")
        time.sleep(seconds * 0.15)
        _say(node, f"deploy {RELEASE}")
        deployed = time.time_ns() // 1_000_000
        _tell("released; the attack follows")
        time.sleep(seconds * 0.15)
        attack = start(OUTSIDE, *python, str(HERE / "attack.py"), str(work), str(pace))
        if attack.wait(seconds + 300) != 0:
            raise RuntimeError("the attack failed")
        _tell("the attack is over")
        running[2].wait(seconds + 60)
        end = (work / "log/audit/audit.log").stat().st_size
        lost = subprocess.run(["auditctl", "-s"], check=True, capture_output=True, text=True).stdout
        _say(node, "stop")
        node.wait(60)
    finally:
        for process in reversed(running):
            process.terminate()
        for process in running:
            process.wait(10)
    return {
        "audit": (skip, end),
        "began": began,
        "deployed": deployed,
        "ended": time.time_ns() // 1_000_000,
        "lost": int(re.search(r"^lost (\d+)$", lost, re.MULTILINE)[1]),  # type: ignore[index]
        "attack": json.loads((work / "attack.json").read_bytes()),
        "commits": made["commits"],
    }


def _pack(work: Path, made: dict[str, Any], facts: dict[str, Any], output: Path) -> None:
    """Check the logs for traces of the machine, compress them, and write the manifest and the truth."""
    if facts["lost"]:
        raise RuntimeError(f"the kernel lost {facts['lost']} audit records")
    output.mkdir(parents=True, exist_ok=True)
    for old in output.iterdir():
        old.unlink()
    files = []
    for source, (log, name) in FILES.items():
        content = (work / "log" / log).read_bytes()
        if source == "linux_audit":
            content = content[slice(*facts["audit"])]
        if found := TRACES.search(content):
            raise RuntimeError(
                f"{log} has a trace of this machine: {content[found.start() : found.end() + 60]!r}"
            )
        packed = output / f"{name}.zst"
        subprocess.run(["zstd", "-q", "-19", "-o", str(packed)], input=content, check=True)
        files.append(
            {
                "source": source,
                "file": packed.name,
                "lines": content.count(b"\n"),
                "events": _events(source, content),
                "bytes": len(content),
                "sha256": hashlib.sha256(packed.read_bytes()).hexdigest(),
                "sha256_unpacked": hashlib.sha256(content).hexdigest(),
            }
        )
        _tell(f"{source}: {files[-1]['events']} events, {packed.stat().st_size} bytes packed")
    manifest = {
        "recorder": VERSION,
        "began": _iso(facts["began"]),
        "deployed": _iso(facts["deployed"]),
        "ended": _iso(facts["ended"]),
        "host": plan.NODE,
        "repository": "https://git.shop.example/shop",
        "release": {
            "commit": made["commits"][RELEASE],
            "tag": "v1.6.0",
            "image": f"{plan.REGISTRY}@{made['digests'][RELEASE]}",
            "digest": made["digests"][RELEASE],
        },
        "before": {"commit": made["commits"][BEFORE], "digest": made["digests"][BEFORE]},
        "events": sum(file["events"] for file in files),
        "files": files,
    }
    truth = {
        "attackers": list(plan.ATTACKERS),
        "role": plan.ROLE,
        "session": f"arn:aws:sts::{plan.ACCOUNT}:assumed-role/{plan.ROLE}/{plan.INSTANCE}",
        "culprit": made["commits"]["12-label-preview"],
        "fix": made["branches"]["fix/label-preview"],
        "path": "/labels/preview",
        "line": {"path": "shop/printing.py", "owner": "@shop/fulfilment"},
        **facts["attack"],
    }
    for name, value in (("manifest.json", manifest), ("truth.json", truth)):
        (output / name).write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    _tell(f"{manifest['events']} events in {output}")


def _events(source: str, content: bytes) -> int:
    """Count events: audit records of one serial number are one event, elsewhere each line is one."""
    if source == "linux_audit":
        return len(set(re.findall(rb"msg=audit\(([^)]*)\)", content)))
    return content.count(b"\n")


def _remove_networks() -> None:
    for name in (CLOUD, NODE, OUTSIDE):
        subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def _expect(process: subprocess.Popen[Any], answer: str) -> None:
    line = process.stdout.readline().strip() if process.stdout else ""
    if line != answer:
        raise RuntimeError(f"the node said {line!r} instead of {answer!r}")


def _say(process: subprocess.Popen[Any], command: str) -> None:
    if process.stdin is None:
        raise RuntimeError("no way to talk to the node")
    process.stdin.write(command + "\n")
    process.stdin.flush()
    _expect(process, "done")


def _ip(namespace: str, *arguments: str) -> None:
    _run("ip", "-n", namespace, *arguments)


def _inside(namespace: str, *command: str) -> None:
    _run("ip", "netns", "exec", namespace, *command)


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


def _iso(ms: int) -> str:
    return dt.datetime.fromtimestamp(ms / 1000, dt.UTC).isoformat(timespec="milliseconds")


def _tell(text: str) -> None:
    print(f"{dt.datetime.now(dt.UTC):%H:%M:%S} {text}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
