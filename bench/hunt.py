"""`lemnis bench hunt`: the batch matcher against one SQL query a rule, on the same events in the same run.

The peer is what several hunting tools do: the fields that some rule asks for go into a table in SQLite (in
memory, C code), each rule becomes one SELECT with LIKE, and the rows are gathered. Both sides start from the
same JSON lines and the same compiled rules, and must find the same records by the same rules; a run in which
they do not is a miss. The ratio is one of CPU time, which other work on the machine changes little. Events
and rules are made here, from a fixed seed.
"""

from __future__ import annotations

import random
import sqlite3
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from lemnis.app import hunt
from lemnis.app.bench import Figure
from lemnis.detect import Rule, RuleSet, load_rules
from lemnis.detect.atoms import MANY, Atom, Expression

EVENTS, RULES, SEED = 30_000, 600, 20_260_101
TIMES = 4.0
"""How many times as fast as the peer it has to be."""
PROGRAMS = (
    "cmd",
    "powershell",
    "svchost",
    "python",
    "chrome",
    "rundll32",
    "regsvr32",
    "curl",
    "explorer",
    "git",
)
FOLDERS = ("C:\\Windows\\System32", "C:\\Program Files\\Tools", "C:\\Users\\ada\\AppData\\Local\\Temp")
Found = set[tuple[str, int]]


def words(source: random.Random, count: int) -> list[str]:
    """Make words that look like options and names."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    return ["".join(source.choices(letters, k=source.randint(4, 9))) for _ in range(count)]


def events(source: random.Random, vocabulary: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Make process creations as Sysmon writes them; most command lines are of their own."""
    for number in range(EVENTS):
        program, parent = source.choice(PROGRAMS), source.choice(PROGRAMS)
        options = " ".join(source.choices(vocabulary, k=source.randint(2, 8)))
        image = f"{source.choice(FOLDERS)}\\{program}.exe"
        yield {
            "Channel": "Microsoft-Windows-Sysmon/Operational",
            "EventID": 1,
            "EventRecordID": number + 1,
            "Computer": f"host{number % 40}",
            "UtcTime": f"2026-01-01 {number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}.000",
            "Image": image,
            "ParentImage": f"{source.choice(FOLDERS)}\\{parent}.exe",
            "CommandLine": f'"{image}" /{options} --id {source.randrange(EVENTS)}',
            "User": f"CORP\\user{number % 200}",
        }


def rules(source: random.Random, vocabulary: Sequence[str]) -> Iterator[str]:
    """Make Sigma rules: a program, words of its command line, and an exclusion."""
    for number in range(RULES):
        wanted = source.sample(vocabulary, 4)
        document = {
            "title": f"Rule {number}",
            "id": str(uuid.UUID(int=number)),
            "logsource": {"product": "windows", "category": "process_creation"},
            "level": "medium",
            "detection": {
                "program": {"Image|endswith": [f"\\{name}.exe" for name in source.sample(PROGRAMS, 3)]},
                "words": {"CommandLine|contains|all": [f" {wanted[0]} ", wanted[1]]},
                "other": {"CommandLine|contains": [f"/{wanted[2]} ", f"{wanted[3]} --id 1"]},
                "known": {"ParentImage|endswith": f"\\{source.choice(PROGRAMS)}.exe"},
                "condition": "program and (words or other) and not known",
            },
        }
        yield orjson.dumps(document).decode()  # JSON is YAML


def lemnis(file: Path, loaded: RuleSet) -> Found:
    """Hunt, as the command does."""
    return {(hit.rule.id, hit.record) for hit in hunt.hunt([file], loaded) if isinstance(hit, hunt.Hit)}


def peer(file: Path, loaded: RuleSet) -> Found:
    """Fill a table, then ask one query a rule."""
    columns = sorted({atom.field for atom in loaded.atoms if atom.field is not None})
    database = sqlite3.connect(":memory:")
    spelled = ", ".join(f'"{name}" TEXT' for name in columns)
    database.execute(f"CREATE TABLE events (record INTEGER PRIMARY KEY, {spelled})")
    marks = ", ".join("?" for _ in range(len(columns) + 1))
    with file.open("rb") as lines:
        rows = (
            (number, *(event.get(name) for name in columns))
            for number, event in enumerate(map(orjson.loads, lines), 1)
        )
        database.executemany(f"INSERT INTO events VALUES ({marks})", rows)  # noqa: S608 - own names
    found = {
        (rule.id, record)
        for rule in loaded.rules
        for (record,) in database.execute(*query(rule, loaded.atoms))
    }
    database.close()
    return found


def query(rule: Rule, atoms: Sequence[Atom]) -> tuple[str, list[str]]:
    """Return a rule as SQL; only patterns of text occur here."""
    given: list[str] = []

    def spell(expression: Expression) -> str:
        if isinstance(expression, int):
            atom = atoms[expression]
            given.append("".join(like(part) for part in atom.value))
            return f"\"{atom.field}\" LIKE ? ESCAPE '!'"
        if expression[0] == "!":
            return f"NOT coalesce({spell(expression[1])}, 0)"
        return "(" + {"&": " AND ", "|": " OR "}[expression[0]].join(map(spell, expression[1:])) + ")"

    return f"SELECT record FROM events WHERE {spell(rule.expression)}", given  # noqa: S608 - own names


def like(part: str | int) -> str:
    """Return a part of a pattern as LIKE reads it."""
    if not isinstance(part, str):
        return "%" if part == MANY else "_"
    return part.replace("!", "!!").replace("%", "!%").replace("_", "!_")


def timed(work: Callable[[], Found]) -> tuple[Found, float, float]:
    """Return what some work found, its seconds, and its seconds of CPU over all threads."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    return found, time.perf_counter() - wall, time.process_time() - cpu


def run() -> list[Figure]:
    """Make the input, run both sides on it, and compare."""
    source = random.Random(SEED)  # noqa: S311 - made-up events, no secret
    vocabulary = words(source, 400)
    with tempfile.TemporaryDirectory() as folder:
        file, pack = Path(folder) / "events.jsonl", Path(folder) / "rules.yml"
        file.write_bytes(b"".join(orjson.dumps(event) + b"\n" for event in events(source, vocabulary)))
        pack.write_text("\n---\n".join(rules(source, vocabulary)), encoding="utf-8")
        loaded = load_rules([pack])
        lemnis(file, loaded)  # what is loaded and compiled once is not what is compared
        ours, mine, my_cpu = timed(lambda: lemnis(file, loaded))
        theirs, other, other_cpu = timed(lambda: peer(file, loaded))
    alike = 100 * len(ours & theirs) / max(1, len(ours | theirs))
    return [
        Figure("events a second, JSON text to matches", round(EVENTS / mine), "events/s"),
        Figure("the same by SQLite, one query a rule", round(EVENTS / other), "events/s"),
        Figure("times SQLite, by CPU time", round(other_cpu / my_cpu, 2), "times", TIMES, at_least=True),
        Figure("same rules on the same records", round(alike, 3), "%", 100.0, at_least=True),
        Figure("matches", len(ours), "matches", 1.0, at_least=True),
        Figure("rules", len(loaded.rules), "rules", float(RULES), at_least=True),
    ]
