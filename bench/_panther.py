"""Panther's rules: the events that their unit tests are made of, most of them cut down by hand.

Of a log type that is a product's own JSON the source is known here. What Panther itself found in an event
(``p_any_…``: addresses, user names, domains) is the truth about its values. Log types that Panther rewrites
(ALB, VPC Flow, S3 access) are no records of the product, and are left out.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import yaml

from bench._conform import Score, events, kind_of, leaves, same
from lemnis.content.schemas.source import LoadedSource
from lemnis.ingest.mapping_columns import RawColumns
from lemnis.ingest.mapping_conditions import holds
from lemnis.ingest.sources import Sources

PRODUCTS: Mapping[str, tuple[str, ...]] = {
    "AWS.CloudTrail": ("aws_cloudtrail",),
    "AWS.GuardDuty": ("aws_guardduty",),
    "Amazon.EKS.Audit": ("kubernetes_audit",),
    "Azure.MonitorActivity": ("azure_activity", "entra_id"),
    "Azure.Audit": ("entra_id", "azure_activity"),
    "GCP.AuditLog": ("gcp_audit",),
    "GSuite.ActivityEvent": ("google_workspace",),
    "GitHub.Audit": ("github_audit",),
    "GitHub.Webhook": ("github_webhook",),
    "GitLab.Audit": ("gitlab_audit",),
    "Okta.SystemLog": ("okta",),
    "Duo.Authentication": ("duo",),
    "Duo.Administrator": ("duo",),
    "Microsoft365.Audit.Exchange": ("m365_audit",),
    "Microsoft365.Audit.SharePoint": ("m365_audit",),
    "Microsoft365.Audit.AzureActiveDirectory": ("m365_audit",),
    "OCSF.DnsActivity": ("ocsf",),
    "OCSF.NetworkActivity": ("ocsf",),
    "Osquery.Differential": ("osquery",),
    "Zeek.DNS": ("zeek",),
    "Suricata.DNS": ("suricata_eve",),
    "Windows.EventLogs": ("windows",),
    "AWS.VPCDns": ("aws_route53_resolver",),
    "AWS.WAFWebACL": ("aws_waf",),
    "GCP.HTTPLoadBalancer": ("gcp_audit",),
    "MicrosoftIntune.AuditLogs": ("entra_id",),
    "OneLogin.Events": ("onelogin",),
}
_FOUND = ("p_any_ip_addresses", "p_any_usernames", "p_any_domain_names", "p_any_emails")
_TIMES: Mapping[str, Any] = {
    "iso": "2026-03-02T18:00:00Z",
    "epoch_s": 1_772_474_400,
    "epoch_ms": 1_772_474_400_000,
}
NO_TIME = "no time in the record"
_OURS = frozenset({"raw_data", "unmapped"})


def run(folder: Path, sources: Sources, scratch: Path, *, every: int = 1) -> tuple[Score, list[Score]]:
    """Return the score, and that of each log type; ``every`` says how many records there are to one taken."""
    total, each = Score("panther"), list[Score]()
    for name, records in sorted(_records(folder).items()):
        known = [sources.by_name[one] for one in PRODUCTS.get(name, ()) if one in sources.by_name]
        if not known:
            continue
        taken = records[::every]
        score = Score(name, len(taken))
        each.append(score)
        for record in taken:
            said = {key: record.pop(key, None) or [] for key in _FOUND}
            record = {key: value for key, value in record.items() if not key.startswith("p_")}  # noqa: PLW2901
            _one(score, scratch, record, (known, said))
        for part in ("records", "recognised", "mapped", "values", "equal"):
            setattr(total, part, getattr(total, part) + getattr(score, part))
        total.reasons += score.reasons
        total.differences += score.differences
    return total, each


def _one(
    score: Score,
    scratch: Path,
    record: dict[str, Any],
    given: tuple[list[LoadedSource], dict[str, list[Any]]],
) -> None:
    """Read one record as of the sources that it may be of; one that was robbed of its time gets one."""
    reasons = []
    for source in given[0]:
        file = _written(scratch, record)
        rows, found = events(source, file)
        if not rows and any(kind_of(reject.reason) == NO_TIME for reject in found.rejects):
            file = _written(scratch, _timed(record, source))
            rows, found = events(source, file)
            score.reasons["taken, with a time put in: it was cut out"] += bool(rows)
        if not rows:
            reasons += [kind_of(reject.reason) for reject in found.rejects]
            continue
        score.mapped += 1
        asked = source.file.recognise.fields
        score.recognised += any(
            asked is not None and bool(holds(asked, RawColumns(one.fields)).all()) for one in found.parsed
        )
        inside = {value for path, value in leaves(rows[0]) if path not in _OURS}
        for key, values in given[1].items():
            for value in values:
                held = (one for one in inside if same(str(value), one))
                score.value(key.removeprefix("p_any_"), str(value), held)
        return
    score.reasons[reasons[0] if reasons else "nothing was read"] += 1


def _written(scratch: Path, record: dict[str, Any]) -> Path:
    file = scratch / "record.json"
    file.write_bytes(orjson.dumps(record, default=str, option=orjson.OPT_NON_STR_KEYS) + b"\n")
    return file


def _timed(record: dict[str, Any], source: LoadedSource) -> dict[str, Any]:
    """Return a record with a time where its product has it."""
    mapping = source.mapping
    line = (mapping.common.time or mapping.events[0].time or ())[0]
    *above, last = line.source[0].split(".")
    whole = copy.deepcopy(record)
    inner = whole
    for part in above:
        inner = inner.setdefault(part, {})
        if not isinstance(inner, dict):
            return record
    inner[last] = _TIMES.get(line.format, _TIMES["iso"])
    return whole


def _records(folder: Path) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for file in sorted(folder.rglob("*.yml")):
        for name, record in _tests(yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)):
            found.setdefault(name, []).append(record)
    return found


def _tests(rule: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    kinds = rule.get("LogTypes") or []
    for test in rule.get("Tests") or []:
        log = test.get("Log")
        log = json.loads(log) if isinstance(log, str) and log.lstrip().startswith("{") else log
        if not isinstance(log, dict):
            continue
        name = test.get("LogType") or log.get("p_log_type") or (kinds[0] if len(kinds) == 1 else "")
        yield str(name), dict(log)
