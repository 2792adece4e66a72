"""Refused and granted logins, and correlations over them; not a test itself."""

import json
import random

RULES = """\
title: Refused
name: refused
logsource: {product: windows, service: security}
detection: {s: {EventID: 4625}, condition: s}
level: low
---
title: Granted
name: granted
logsource: {product: windows, service: security}
detection: {s: {EventID: 4624}, condition: s}
level: low
---
title: Many refusals
id: 00000000-0000-4000-8000-0000000000a1
name: many
level: medium
correlation: {type: event_count, rules: [refused], group-by: [TargetUserName, IpAddress], timespan: 2m, condition: {gte: 3}}
---
title: Refusals, then one granted
id: 00000000-0000-4000-8000-0000000000a2
level: high
correlation: {type: temporal_ordered, rules: [many, granted], group-by: [TargetUserName], timespan: 3m}
---
title: Many addresses
id: 00000000-0000-4000-8000-0000000000a3
level: medium
correlation: {type: value_count, rules: [refused, granted], group-by: TargetUserName, timespan: 5m, condition: {gte: 4, field: IpAddress}}
---
title: Refused, and never granted
id: 00000000-0000-4000-8000-0000000000a4
level: low
correlation: {type: absence, rules: refused, without: granted, group-by: TargetUserName, timespan: 4m}
---
title: A new address
id: 00000000-0000-4000-8000-0000000000a5
level: low
correlation: {type: new_terms, rules: granted, field: IpAddress, group-by: TargetUserName, timespan: 20m, learn: 5m}
---
title: Risk of an account
id: 00000000-0000-4000-8000-0000000000a6
level: high
correlation: {type: entity_risk, rules: all, group-by: TargetUserName, half-life: 1m, condition: {gte: 25}}
"""


def lines(count, seed=1):
    """Make logins in no order of time; the last hour is quiet but for one, which tells that the source lives."""
    rng = random.Random(seed)  # noqa: S311 - input, not a secret
    made = []
    for number in range(count):
        at = rng.randrange(5400)
        made.append(
            {
                "Channel": "Security", "EventID": rng.choice([4625, 4625, 4624]), "EventRecordID": number + 1,
                "Computer": "dc1", "Provider_Name": "Microsoft-Windows-Security-Auditing",
                "SystemTime": f"2026-01-01T{at // 3600:02}:{at // 60 % 60:02}:{at % 60:02}.000Z",
                "TargetUserName": rng.choice(["ada", "bob", "eve", None]), "IpAddress": f"192.0.2.{rng.randrange(5)}",
            }
        )  # fmt: skip
    made.append(
        {**made[0], "EventID": 1, "EventRecordID": count + 1, "SystemTime": "2026-01-01T03:00:00.000Z"}
    )
    return [json.dumps({k: v for k, v in one.items() if v is not None}) + "\n" for one in made]


def content(folder):
    """Lay the correlations into a workspace's content."""
    for number, text in enumerate(RULES.split("---\n")):
        place = folder / "detections" / f"login_{number}"
        place.mkdir(parents=True)
        (place / "rule.yml").write_text(text)


def told(alerts):
    """Return what alerts of correlations say: each as it stands last, unless withdrawn."""
    last = {}
    for alert in sorted(alerts, key=lambda alert: alert.revision):
        last[alert.id] = alert
    return {
        (a.id, a.rule_id, a.time, a.first, a.last, a.count, a.event_uids, a.entities, str(a.event["group"]))
        for a in last.values()
        if "correlation" in a.event and not a.withdrawn
    }
