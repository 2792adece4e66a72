"""A workspace with rules of its own and a lake of web requests over weeks; not a test itself."""

import shutil
from datetime import UTC, datetime

from lemnis import app
from lemnis.app.ingest import Ingest
from lemnis.app.shelf import repository
from lemnis.app.watch import Watch
from lemnis.content import library
from lemnis.contracts.clock import ManualClock

DAY = 86_400_000
START = 1_762_128_000_000  # 2025-11-03T00:00:00Z, a Monday
NOW = START + 14 * DAY
SCANNER, ATTACKER = "192.0.2.10", "198.51.100.23"
ADMIN, LOGIN = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
RULE = """\
title: {title}
id: {id}
status: test
tags: [{tags}]
logsource: {{category: webserver}}
detection:
  selection:
    {field}: {value}
  condition: selection
level: {level}
"""
EXCEPTION = """\
title: Our own scanner
logsource: {category: webserver}
filter:
  rules: [admin_page]
  selection: {c-ip: 192.0.2.10}
  condition: not selection
x-lemnis:
  owner: priya
  expires: 2025-11-09
  reason: scans of our own, agreed with operations
"""


def rule(workspace, name, *, number, field, value, title="", level="medium", tags="attack.discovery"):
    """Write a detection without tests."""
    folder = workspace.content / "detections" / name
    folder.mkdir(parents=True, exist_ok=True)
    text = RULE.format(title=title or name, id=number, field=field, value=value, level=level, tags=tags)
    (folder / "rule.yml").write_text(text, encoding="utf-8")
    return folder


def exception(workspace, text=EXCEPTION, name="own_scanner"):
    """Write an exception."""
    folder = workspace.content / "exceptions" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "filter.yml").write_text(text, encoding="utf-8")
    return folder / "filter.yml"


def request(at, client, path):
    """One line of an access log."""
    stamp = datetime.fromtimestamp(at / 1000, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
    return f'{client} - - [{stamp}] "GET {path} HTTP/1.1" 200 12 "-" "Mozilla/5.0"\n'


def requests():
    """Two weeks: the scanner asks for /admin four times a day, an attacker on the 3rd and 10th day, people browse."""
    for day in range(14):
        for n in range(4):
            yield request(START + day * DAY + n * 3_600_000, SCANNER, "/admin")
        for n in range(20):
            yield request(START + day * DAY + n * 1_800_000, f"203.0.113.{n + 1}", f"/articles/{n}")
        if day in {2, 9}:
            yield request(START + day * DAY + 5 * 3_600_000, ATTACKER, "/admin")


def workspace(folder, *, level="medium"):
    """Make a workspace with two rules; nothing is in the lake yet."""
    made = app.init(folder / "w", clock=ManualClock(NOW))
    rule(
        made,
        "admin_page",
        level=level,
        number=ADMIN,
        field="cs-uri-stem",
        value="/admin",
        tags="attack.discovery, attack.t1083",
    )
    rule(made, "login_page", number=LOGIN, field="cs-uri-stem", value="/login", tags="attack.t1110")
    return made


def shipped(monkeypatch, folder, *items):
    """Let only these items be built in, such as ``sources/okta``: to test all takes longer than is needed."""
    for item in items:
        shutil.copytree(library.builtin_root() / item, folder / item)
    monkeypatch.setattr(library, "builtin_root", lambda: folder)


def copied(made, folder):
    """Return a copy of a workspace, with a clock of its own."""
    root = shutil.copytree(made.root, folder / "w", symlinks=True)
    return app.open_workspace(root, clock=ManualClock(made.clock.now()))


def commit(made, message="Rules"):
    """Commit the workspace's content."""
    return repository(made).commit_all(message, author=app.AUTHOR, at=made.clock.now())


def live(made, folder):
    """Let everything come in, watched."""
    log = folder / "access.log"
    log.write_text("".join(requests()), encoding="utf-8")
    totals = Ingest(made, "web_combined", Watch(made)).run([log])
    assert totals.rejected == 0
    return totals
