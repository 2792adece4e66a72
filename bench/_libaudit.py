"""go-libaudit: what another parser of Linux audit records reads out of the same lines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from bench._conform import Score
from lemnis.ingest.parsers import _audit

_RESULTS = {"yes": "success", "1": "success", "no": "fail", "0": "fail", "failed": "fail"}
_ARCHES = {"c000003e": "x86_64", "40000003": "i386", "c00000b7": "aarch64"}
_CONTEXT = ("user", "role", "domain", "level", "category")
_NAMES = {"syscall": "SYSCALL", "new_auid": "auid"}


def run(folder: Path) -> Score:
    """Return the score over the golden files of its parser."""
    score = Score("go-libaudit")
    for golden in sorted(folder.rglob("auparse/testdata/*.golden")):
        lines = golden.with_suffix("").read_text(errors="replace").splitlines()
        for event in json.loads(golden.read_bytes()):
            line = next(line for line in lines if event["raw_msg"] in line)
            read = _audit.read(line)
            score.records += 1
            score.recognised += bool(read.fields)
            score.mapped += bool(read.fields)
            fields = {key: str(value) for key, value in read.fields.items()}
            for key, want in event.get("data", {}).items():
                have = _have(fields, key)
                have = "unset" if have == "4294967295" and want == "unset" else have
                score.value(key, want, () if have is None else (have,))
    return score


def _have(fields: Mapping[str, str], name: str) -> str | None:
    """Return what was read for a field that the other parser derives or renames."""
    if name.startswith(("subj_", "obj_")):
        whole, _, part = name.partition("_")
        parts, place = fields.get(whole, "").split(":"), _CONTEXT.index(part)
        return parts[place] if len(parts) > place else None
    value = fields.get(_NAMES.get(name, name))
    if name == "result":
        value = fields.get("success") or fields.get("res")
        return _RESULTS.get(value or "", value)
    return _ARCHES.get(value or "", value) if name == "arch" else value
