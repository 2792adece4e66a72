"""``lemnis sources health``: silence is seen."""

import orjson

from lemnis.app import ingest, init, sources
from lemnis.contracts.clock import ManualClock

NOW = 1_767_225_600_000  # 2026-01-01
_DAY = 86_400_000


def record(number, time):
    return orjson.dumps(
        {"eventVersion": "1.08", "eventID": f"e{number}", "eventTime": time, "eventName": "ListUsers",
         "eventSource": "iam.amazonaws.com", "awsRegion": "eu-west-1", "userIdentity": {"type": "Root"}}
    )  # fmt: skip


def test_a_record_from_the_far_future_does_not_hide_that_a_source_is_silent(tmp_path):
    workspace = init(tmp_path / "w", clock=ManualClock(NOW))
    log = tmp_path / "trail.jsonl"
    log.write_bytes(record(1, "2025-12-29T00:00:00Z") + b"\n" + record(2, "9999-12-31T00:00:00Z") + b"\n")
    ingest.Ingest(workspace, "aws_cloudtrail").run([log])
    (found,) = (one for one in sources.health(workspace) if one.name == "aws_cloudtrail")
    assert (found.events, found.last, found.lag) == (2, NOW - 3 * _DAY, 3 * _DAY)
    assert found.silent
