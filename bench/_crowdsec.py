"""CrowdSec's hub: what its parsers say of each line (``parser.assert``), against that line's event."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench._conform import Score, events, kind_of, values_at
from lemnis.ingest.sources import Sources
from lemnis.ingest.streams import Stream

_ASSERT = re.compile(
    r'^results\["s01-parse"\]\["([^"]+)"\]\[(\d+)\]\.Evt\.(Parsed|Meta)\["([^"]+)"\] == (".*")$'
)
_USERS = (
    "user.name",
    "actor.user.name",
    "user.email_addr",
    "actor.user.email_addr",
    "actor.process.user.name",
)
PLACES: Mapping[str, tuple[str, ...]] = {
    "source_ip": ("src_endpoint.ip", "src_endpoint.name"),
    "target_user": _USERS,
    "username": _USERS,
    "user": _USERS,
    "source_user": _USERS,
    "http_path": ("http_request.url.path", "http_request.url.url_string"),
    "http_status": ("http_response.code",),
    "http_verb": ("http_request.http_method",),
    "http_user_agent": ("http_request.user_agent",),
    "dest_ip": ("dst_endpoint.ip",),
    "dest_port": ("dst_endpoint.port",),
    "target_fqdn": ("dst_endpoint.hostname", "http_request.url.hostname"),
}
"""Where the standard puts what the hub says under a name of its own."""


def run(folder: Path, sources: Sources, *, every: int = 1) -> tuple[Score, list[Score]]:
    """Return the score over the whole hub; that over files that a source recognises; and each parser's.

    ``every`` says how many of the hub's tests there are to one taken.
    """
    score, known, each = Score("crowdsec"), Score("files that a source recognises"), dict[str, Score]()
    for test in sorted(path.parent for path in folder.glob("*/parser.assert"))[::every]:
        truth = list(_truth(test / "parser.assert"))
        for number, log in enumerate(sorted(test.glob("*.log"))):
            source = sources.recognise(Stream(log))
            count = sum(bool(line.strip()) for line in log.read_bytes().splitlines())
            score.records += count
            if source is None:
                score.reasons["a file that no source recognises"] += count
                for _, one in truth if number == 0 else ():
                    for key in PLACES.keys() & {name for kind, name in one if kind == "Meta"}:
                        score.value("of a product without a source", one["Meta", key], ())
                continue
            rows, found = events(source, log)
            for total in (score, known):
                total.recognised += count
                total.mapped += len(rows)
                total.reasons.update(kind_of(reject.reason) for reject in found.rejects)
            known.records += count
            _compare((score, known), each, truth, rows)
    return score, [known, *(each[name] for name in sorted(each) if each[name].values)]


def _truth(file: Path) -> Iterator[tuple[str, dict[tuple[str, str], str]]]:
    """Yield what the hub says of each line that one of its parsers took."""
    said: dict[tuple[str, str], dict[tuple[str, str], str]] = defaultdict(dict)
    for line in file.read_text(errors="replace").splitlines():
        if match := _ASSERT.match(line):
            said[match[1], match[2]][match[3], match[4]] = json.loads(match[5])
    yield from ((name, one) for (name, _), one in said.items() if one.get(("Parsed", "message")))


def _compare(
    totals: tuple[Score, ...],
    each: dict[str, Score],
    truth: list[tuple[str, dict[tuple[str, str], str]]],
    rows: list[dict[str, Any]],
) -> None:
    for name, one in truth:
        message = one["Parsed", "message"].strip()
        event = next((row for row in rows if message in row["raw_data"]), None)
        part = each.setdefault(name, Score(name))
        part.records += 1
        part.recognised += 1
        if event is None:
            part.reasons["no event of the line"] += 1
            continue
        part.mapped += 1
        for key, places in PLACES.items():
            if (want := one.get(("Meta", key))) is not None:
                for total in (*totals, part):
                    total.value(key, want, values_at(event, places))
