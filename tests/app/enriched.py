"""Machines that are renamed and addresses that are reused, and logins to them; not a test itself."""

from lemnis.contracts.clock import from_iso

NOW = from_iso("2026-06-01")
LINE = "2026-{}T10:00:00+00:00 {} sshd[{}]: Failed password for priya from {} port 5 ssh2\n"
HISTORY = """\
- {id: m1, hostnames: [web1], owner: blue, criticality: low, until: 2026-03-01}
- {id: m1, hostnames: [web9], owner: blue, criticality: low, from: 2026-03-01}
- {id: m2, hostnames: [web1], owner: green, criticality: critical, from: 2026-03-01}
- {id: p1, addresses: [198.51.100.9], owner: red, until: 2026-02-01}
- {id: p2, addresses: [198.51.100.9], owner: white, from: 2026-02-01, until: 2026-04-01}
- {id: p1, addresses: [198.51.100.9], owner: red, from: 2026-04-01}
"""
EVENTS = [
    ("01-15", "web1", "198.51.100.9"),
    ("02-15", "web1", "198.51.100.9"),
    ("03-15", "web1", "198.51.100.9"),
    ("04-15", "web1", "198.51.100.9"),
    ("05-15", "web9", "198.51.100.9"),
]


def assets(workspace, text, name="all"):
    (workspace.content / "assets").mkdir(exist_ok=True)
    (workspace.content / "assets" / f"{name}.yaml").write_text(text)


def log(tmp_path, *lines, name="auth.log"):
    path = tmp_path / name
    path.write_text(
        "".join(LINE.format(day, host, n, address) for n, (day, host, address) in enumerate(lines))
    )
    return path
