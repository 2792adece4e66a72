"""The story of the shop: an attack goes once round the loop, by the commands that every user has.

Nothing here knows how it ends. Each chapter runs commands, reads what they say, and goes on only if that is
what the loop needs; who attacked and which commit was to blame is found out on the way.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import yaml
from rich import box
from rich.markup import escape
from rich.table import Table

from lemnis.contracts.errors import Location, NotFoundError
from lemnis.interfaces.demo.stage import Facts, Stage, Tell

BUILDER = "https://builder.shop.example/release"
PLAYBOOK = "contain_compromised_workload"
ANALYST, LEAD, OWNER = "ana", "lee", "elif"
_SHORT = 19
_COMMIT = 12
_STRENGTHS = ("broken", "name_match", "label", "recorded", "observed", "verified")
_SPANS = {
    "time_to_detect": "first event of the attack to enough of it seen",
    "time_to_acknowledge": "detected to acknowledged",
    "time_to_contain": "detected to contained",
    "time_to_close": "detected to closed",
}


@dataclass(frozen=True, slots=True)
class Scene:
    """Where the story plays: the example's folder, a recording and its manifest, and what answers actions."""

    shop: Path
    recording: Path
    manifest: Mapping[str, Any]
    connections: Mapping[str, Mapping[str, str]]

    @classmethod
    def read(cls, shop: Path, recording: Path, connections: Mapping[str, Mapping[str, str]]) -> Scene:
        """Read the recording's manifest; raises NotFoundError if there is none."""
        try:
            manifest = orjson.loads((recording / "manifest.json").read_bytes())
        except OSError as error:
            raise NotFoundError("no recording here", at=Location(str(recording))) from error
        return cls(shop, recording, manifest, connections)

    @property
    def release(self) -> str:
        """The commit that was running when it was recorded."""
        return str(self.manifest["release"]["commit"])


def chapters(scene: Scene) -> dict[str, tuple[str, Tell]]:
    """Return the chapters by the name of their stage."""
    return {
        "init": ("a workspace for the SOC, and the shop's repository", lambda stage: _init(stage, scene)),
        "build": ("the release passes the gate, is built and signed", lambda stage: _build(stage, scene)),
        "operate": ("what the sensors saw goes into the lake", lambda stage: _operate(stage, scene)),
        "detect": ("rules have seen something", _detect),
        "incident": ("what belongs together is one incident", _incident),
        "respond": ("plan, approve, act; and the way back", _respond),
        "trace": ("from the process back to the line and its owner", _trace),
        "learn": ("the incident becomes a gate, a detection, a test, a threat", _learn),
        "prove": ("by replay over every event and every commit", _prove),
        "gate": ("the same commit is refused now, the fixed one passes", _gate),
    }


def _init(stage: Stage, scene: Scene) -> Facts:
    stage.lemnis("init", str(stage.workspace), "--name", "shop-soc")
    history = str(scene.shop / "make_history.py")
    made = orjson.loads(stage.program(sys.executable, history, str(stage.shop), "--json"))
    (stage.workspace / ".lemnis/keys").mkdir(mode=0o700, exist_ok=True)
    stage.lemnis("attest", "keygen", str(stage.workspace / ".lemnis/keys/builder"))
    public = (stage.workspace / ".lemnis/keys/builder.pub").read_text(encoding="ascii")
    repository = {"name": "shop", "url": scene.manifest["repository"], "path": str(stage.shop)}
    settings = {
        "name": "shop-soc",
        "builders": [{"id": BUILDER, "key": public}],
        "repositories": [repository],
        "connections": {name: dict(connection) for name, connection in scene.connections.items()},
    }
    (stage.workspace / "lemnis.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    (content,) = stage.lemnis("content", "digest")
    stage.teller.say(
        f"lemnis.yaml names the builder whose signature counts, the repository ({len(made['commits'])} "
        "commits), and where cluster and cloud are"
    )
    return {"content_digest": content["digest"], "commits": len(made["commits"]), "fix": _fix(made)}


def _fix(made: Mapping[str, Any]) -> str:
    """Return the head of the branch on which the developers mended it."""
    return next((commit for name, commit in made["branches"].items() if name.startswith("fix/")), "")


def _build(stage: Stage, scene: Scene) -> Facts:
    shop, key = str(stage.shop), str(stage.workspace / ".lemnis/keys/builder")
    (decision,) = stage.lemnis("gate", "build", "--repo", shop, "--commit", scene.release)
    stage.teller.say(f"the gate of the day says [bold green]{decision['decision']}[/]")
    image = stage.program(
        sys.executable, str(stage.shop / "tools/build_image.py"), "--repository", shop,
        "--commit", scene.release, "--output", str(stage.folder / "image"),
    ).strip()  # fmt: skip
    stage.need(image == scene.manifest["release"]["digest"], "the image is not the one that was running")
    stage.lemnis(
        "attest", "sign", "--image", image, "--repo", shop, "--commit", scene.release,
        "--builder", BUILDER, "--key", key,
    )  # fmt: skip
    (deploy,) = stage.lemnis("gate", "deploy", "--repo", shop, "--image", image)
    stage.teller.say(
        f"image {image[:_SHORT]}… was built from {scene.release[:_COMMIT]} by the trusted builder: "
        f"[bold green]{deploy['decision']}[/] to deploy"
    )
    return {
        "release": scene.release,
        "image_digest": image,
        "build_verdict": decision["decision"],
        "deploy_verdict": deploy["decision"],
    }


def _operate(stage: Stage, scene: Scene) -> Facts:
    table = Table(box=box.SIMPLE, header_style="bold")
    for column, justify in (
        ("source", "left"),
        ("read", "right"),
        ("accepted", "right"),
        ("rejected", "right"),
    ):
        table.add_column(column, justify="right" if justify == "right" else "left")
    sources: dict[str, int] = {}
    rejected = 0
    for file in scene.manifest["files"]:
        said = stage.lemnis("ingest", file["source"], str(scene.recording / file["file"]), expect=(0, 2))[-1]
        table.add_row(file["source"], *(f"{said[name]:,}" for name in ("read", "accepted", "rejected")))
        sources[file["source"]] = said["accepted"]
        rejected += said["rejected"]
    stage.teller.show(table)
    total = sum(sources.values())
    stage.need(total > 0, "nothing was read")
    stage.teller.say(
        f"[bold]{total:,}[/] events, normalised to OCSF, acknowledged, and looked at by the rules"
    )
    return {"events": total, "sources": sources, "rejected": rejected}


def _detect(stage: Stage) -> Facts:
    query = (
        "SELECT message AS rule, severity, count(*) AS alerts, min(time) AS first, "
        "list(metadata.uid ORDER BY metadata.uid) AS ids FROM detection_finding GROUP BY ALL ORDER BY first"
    )
    known = {table["name"] for table in stage.lemnis("sql")}
    stage.need("detection_finding" in known, "nothing was found: no rule has seen anything in these events")
    rows = stage.lemnis("sql", query)
    table = Table(box=box.SIMPLE, header_style="bold")
    for column in ("rule", "severity", "alerts"):
        table.add_column(column, justify="right" if column == "alerts" else "left")
    for row in rows:
        table.add_row(escape(row["rule"]), row["severity"], f"{row['alerts']:,}")
    stage.teller.show(table)
    identifiers = sorted(one for row in rows for one in row["ids"])
    return {"alerts": len(identifiers), "rules": len(rows), "alert_ids": identifiers}


def _incident(stage: Stage) -> Facts:
    found = stage.lemnis("incident", "list")
    stage.need(found, "nothing was found: the alerts are no incident")
    worst = found[0]
    incident = str(worst["id"])
    stage.lemnis("incident", "show", incident, shown=True)
    stage.lemnis(
        "incident", "acknowledge", incident, "--as", ANALYST, "--reason", "a service does not do this"
    )
    return {
        "incident_id": incident,
        "incident_ids": sorted(str(one["id"]) for one in found),
        "severity": worst["severity"],
        "grouped": worst["alerts"],
    }


def _respond(stage: Stage) -> Facts:
    incident, teller = stage.known["incident_id"], stage.teller
    (plan,) = stage.lemnis("playbook", "plan", PLAYBOOK, "--incident", incident, shown=True)
    stage.need(plan["approvable"], "the plan holds something that is refused")
    stage.lemnis("playbook", "run", plan["digest"], expect=(1,))
    teller.say("[yellow]not without approval[/]; approval is bound to these very actions")
    stage.lemnis("playbook", "approve", plan["digest"], "--as", LEAD, "--reason", "stolen credentials in use")
    (run,) = stage.lemnis("playbook", "run", plan["digest"], "--as", ANALYST)
    (again,) = stage.lemnis("playbook", "run", plan["digest"], "--as", ANALYST)
    stage.need(again["id"] == run["id"], "the same plan ran twice")
    _show_results(stage, run)
    (undone,) = stage.lemnis(
        "playbook", "undo", run["id"], "--as", OWNER, "--reason", "the way back, rehearsed"
    )
    _show_results(stage, undone)
    writes = [action for action in plan["actions"] if action["effect"] != "read"]
    return {
        "actions": [action["action"] for action in plan["actions"]],
        "targets": sorted(action["target"] for action in writes),
        "outcome": run["outcome"],
        "undone": undone["outcome"],
    }


def _show_results(stage: Stage, run: Mapping[str, Any]) -> None:
    for result in run["results"]:
        colour = "red" if result["error"] else "green"
        what = f"{result['action']}  {result['target']}"
        stage.teller.say(f"[{colour}]{escape(result['outcome'])}[/]  {escape(what)}")


def _trace(stage: Stage) -> Facts:
    incident = stage.known["incident_id"]
    hops = stage.lemnis("incident", "trace", incident, expect=(0, 1), shown=True)
    broken = next((hop for hop in hops if "broken" in hop), None)
    stage.need(broken is None, f"the trace breaks: {broken and broken['broken']}")
    ends = {hop["relation"]: str(hop["to"]).partition(":")[2] for hop in hops}
    stage.need("owned_by" in ends, "the trace does not reach an owner")
    return {
        "hops": len(hops),
        "weakest": min((hop["strength"] for hop in hops), key=_STRENGTHS.index),
        "line": ends["has_line"].partition(":")[2],  # its repository stands before it
        "culprit": ends["introduced_by"],
        "owner": ends["owned_by"],
    }


def _learn(stage: Stage) -> Facts:
    incident, teller = stage.known["incident_id"], stage.teller
    stage.lemnis(
        "incident", "close", incident, "--verdict", "true_positive", "--as", LEAD,
        "--reason", f"contained; cause in {stage.known['line']}",
    )  # fmt: skip
    (lesson,) = stage.lemnis("lesson", "propose", incident)
    stage.lemnis("lesson", "show", lesson["id"], shown=True)
    (whole,) = stage.lemnis("incident", "show", incident)
    teller.show(_times(whole["metrics"]))
    return {
        "lesson_id": lesson["id"],
        "branch": lesson["branch"],
        "verdict": whole["verdict"],
        "metrics": whole["metrics"],
    }


def _prove(stage: Stage) -> Facts:
    lesson = stage.known["lesson_id"]
    (proof,) = stage.lemnis("lesson", "prove", lesson, expect=(0, 1), shown=True)
    stage.need(proof["proven"], f"the lesson is not proven: {'; '.join(proof['reasons'])}")
    return {
        "proof_verdict": "proven",
        "old_digest": proof["old"]["digest"],
        "new_digest": proof["new"]["digest"],
        "history": proof["history"],
    }


def _gate(stage: Stage) -> Facts:
    shop, lesson = str(stage.shop), stage.known["lesson_id"]
    stage.lemnis("lesson", "merge", lesson)
    culprit, fix = stage.known["culprit"], stage.known["fix"]
    (refused,) = stage.lemnis("gate", "build", "--repo", shop, "--commit", culprit, expect=(1,))
    for reason in refused["reasons"]:
        stage.teller.say(f"[bold red]deny[/]  {escape(reason['where'])}  {escape(reason['message'])}")
        stage.teller.say(f"      [dim]{escape(reason['fix'])}[/]")
    (passes,) = stage.lemnis("gate", "build", "--repo", shop, "--commit", fix)
    stage.teller.say(f"[bold green]{passes['decision']}[/] for the fix {fix[:_COMMIT]}")
    (chain,) = stage.lemnis("journal", "verify")
    stage.teller.say(f"the journal of {chain['entries']:,} entries holds")
    return {
        "culprit_verdict": refused["decision"],
        "fix_verdict": passes["decision"],
        "journal": chain["entries"],
    }


def _times(metrics: Mapping[str, Any]) -> Table:
    """Show how long things took, as the incident has it."""
    table = Table(box=box.SIMPLE, header_style="bold")
    for column in ("from the events and the journal", "took"):
        table.add_column(column)
    for name, label in _SPANS.items():
        if metrics.get(name) is not None:
            table.add_row(label, f"{metrics[name] / 1000:,.1f} s")
    return table
