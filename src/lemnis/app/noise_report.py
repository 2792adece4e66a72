"""``rules noise``: the measurement, the verdicts and the proposals of a workspace, put together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lemnis import app
from lemnis.app import noise, noise_filter, settings
from lemnis.app.detection import detection
from lemnis.app.exceptions_report import Progress, quiet
from lemnis.app.noise import Noise
from lemnis.app.noise_filter import Proposal
from lemnis.content.library import Library
from lemnis.contracts.errors import LemnisError, RefusedError
from lemnis.detect.rules import load_rules
from lemnis.incidents import entries
from lemnis.incidents.view import views

_SHOWN_REAL = 100_000


@dataclass(frozen=True, slots=True)
class Report:
    """The rules with alerts, the loudest first, each with its best proposal; ``minutes`` is for an alert."""

    rules: tuple[Noise, ...]
    proposals: dict[str, Proposal]
    minutes: float
    silent: int
    problems: tuple[LemnisError, ...]

    def proposal(self, wanted: str = "") -> Proposal:
        """Return the proposal that takes most away, or that for a rule (id, detection's name).

        Raises RefusedError where there is none that should be taken.
        """
        mine = [
            one
            for one in self.proposals.values()
            if not wanted or wanted in {one.rule.id, one.rule.title, Path(one.rule.path).parent.name}
        ]
        fit = [one for one in mine if not one.against]
        if not fit:
            against = next((one.against for one in mine), "no value stands out among the alerts")
            raise RefusedError(f"no exception is proposed: {against}", fix="make the rule itself narrower")
        return min(fit, key=lambda one: (-one.removed, one.hidden))


def report(
    workspace: app.Workspace,
    *,
    owner: str,
    start: int | None = None,
    minutes: float | None = None,
    progress: Progress = quiet,
) -> Report:
    """Measure what the rules cost and what would help; nothing is written but the cache.

    ``owner`` is who would answer for a proposed exception; ``minutes`` are for an alert, else the settings'.
    """
    library, lake, cache = Library.open(workspace.content), app.events(workspace), workspace.state / "cache"
    detecting = detection(library, cache=cache)
    loaded = load_rules([item.manifest for item in library.items("detections").values()], cache=cache)
    found = noise.measure(lake, detecting, loaded.rules, start=start, progress=progress)
    incidents = list(views(app.journal(workspace)).values())
    for name, counts in noise.verdicts(incidents).items():
        if name in found:
            found[name].verdicts = counts
    tried = noise_filter.measured(
        lake, library, noise_filter.candidates(found, owner=owner, now=workspace.clock.now()),
        real=_real(workspace), start=start, progress=progress, cache=cache,
    )  # fmt: skip
    loud = sorted((one for one in found.values() if one.alerts), key=lambda one: (-one.week.rate, one.name))
    proposals = {one.name: best for one in loud if (best := noise_filter.best(tried, one.name)) is not None}
    per = minutes or settings.load(workspace).minutes_per_alert or noise.MINUTES
    return Report(tuple(loud), proposals, per, len(found) - len(loud), detecting.problems)


def _real(workspace: app.Workspace) -> frozenset[str]:
    """Return the events of alerts in incidents that were judged real, or that nobody has judged yet."""
    journal = app.journal(workspace)
    judged = [one for one in views(journal).values() if one.verdict in noise.PROTECTED or one.open]
    alerts = [alert for one in judged for alert in one.alert_ids][:_SHOWN_REAL]
    known = (journal.get(alert) for alert in alerts)
    return frozenset(
        uid
        for entry in known
        if entry is not None
        for uid in entries.read_alert(entry, whole=False).event_uids
    )
