"""How much of other people's logs becomes events, source by source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench._conform import kind_of
from lemnis.app.source_tests import read
from lemnis.ingest.sources import Sources
from lemnis.ingest.streams import Stream, walk

LARGEST = 6_000_000
"""Files with more bytes are left out: the next smaller of the same set says the same."""
_NO_LOGS = frozenset(
    {".assert", ".yaml", ".yml", ".golden", ".md", ".csv", ".tf", ".rules", ".pcap", ".pcapng", ".py"}
)
_NO_REPORT = ("a SARIF 2.0.0 report", "not a SARIF report")


@dataclass(slots=True)
class Share:
    """Of one set, the records that a source took: how many, how many became events, why others did not."""

    source: str
    data: str
    files: int = 0
    records: int = 0
    mapped: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def document(self) -> dict[str, Any]:
        """Return the share as it is published."""
        return {
            "source": self.source, "data": self.data, "files": self.files, "records": self.records,
            "mapped": self.mapped, "reasons": dict(sorted(self.reasons.items(), key=lambda p: (-p[1], p[0]))),
        }  # fmt: skip


def shares(data: str, folder: Path, sources: Sources) -> Iterable[Share]:
    """Read every file of a set that some source recognises."""
    found: dict[str, Share] = {}
    for file in walk([folder]):
        if file.suffix in _NO_LOGS or file.name.startswith("LICENSE") or file.stat().st_size > LARGEST:
            continue
        source = sources.recognise(Stream(file))
        if source is None:
            continue
        one = found.setdefault(source.name, Share(source.name, data))
        taken = read(source, file)
        rejects = [reject for reject in taken.rejects if not reject.reason.startswith(_NO_REPORT)]
        one.files += 1
        one.records += taken.events + len(rejects)
        one.mapped += taken.events
        one.reasons.update(kind_of(reject.reason) for reject in rejects)
    return [found[name] for name in sorted(found)]
