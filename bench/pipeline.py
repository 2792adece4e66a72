"""`lemnis bench pipeline`: imports and scans with what they cost beside the tools, gates, the editor.

Lanes: `import` (100,000 findings in reports of five tools, put together; the same again), `overhead` (a scan
of a repository of 1,000 files against the programs that it runs; the same again), `gate` (a decision over
1,000 findings and 50 policies), `editor` (a changed file). LEMNIS_BENCH_SCALE makes `import` smaller.
"""

from __future__ import annotations

import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson

from bench._measure import Usage, child
from lemnis import app
from lemnis.app import editing, findings_import, findings_life
from lemnis.app.bench import Figure
from lemnis.contracts.alerts import Severity
from lemnis.contracts.errors import UsageError
from lemnis.contracts.findings import Finding, ScanReport
from lemnis.policy.decide import Policy, decide
from lemnis.policy.document import change_document, code_document

IMPORT_S, IMPORT_MB, AGAIN_SHARE, OVERHEAD_S, GATE_MS, EDITOR_MS = 60.0, 1_000.0, 0.1, 2.0, 200.0, 150.0
_FINDINGS, _FILES, _POLICIES = 100_000, 1_000, 50
_RULE = """package lemnis.p{n}
import rego.v1
deny contains reason if {{
    some finding in input.findings
    finding.new
    finding.severity_id >= {level}
    {cwe} in finding.cwes
    startswith(finding.path, "src/m{n}")
    reason := {{
        "message": sprintf("%s: %s", [finding.severity, finding.title]), "where": finding.where,
        "fix": "mend it", "finding": finding.fingerprint,
    }}
}}
"""


def run(*, lanes: tuple[str, ...] | None = None) -> list[Figure]:
    """Run the lanes that are asked for, all by default; raises UsageError for one that there is not."""
    unknown = sorted(set(lanes or ()) - set(LANES))
    if unknown:
        raise UsageError(f"no lane {', '.join(unknown)}", fix=f"there are: {', '.join(LANES)}")
    return [figure for name in lanes or tuple(LANES) for figure in LANES[name]()]


def imports() -> list[Figure]:
    """Import reports of five tools into a fresh workspace, in one process; then the same again."""
    scale = float(os.environ.get("LEMNIS_BENCH_SCALE", "1"))
    with tempfile.TemporaryDirectory(prefix="lemnis-imports-") as name:
        folder = Path(name)
        count = _reports(folder / "reports", int(_FINDINGS * scale))
        app.init(folder / "w")
        argv: list[str | Path] = [sys.executable, "-m", "bench._imports", folder / "w", folder / "reports"]
        first, again = child(argv, keep=True), child(argv, keep=True)
        known = findings_life.store(app.open_workspace(folder / "w")).briefs("shop")
    said, more = first.said, again.said
    return [
        Figure("findings imported", float(said["findings"]), "findings", float(count)),
        Figure("problems that they are", float(len({one.problem for one in known})), "problems"),
        Figure("import and putting together", first.wall, "s", IMPORT_S * scale, at_least=False),
        Figure("CPU of it", first.cpu, "s"),
        Figure("memory of it", first.peak_mb, "MB", IMPORT_MB, at_least=False),
        Figure("new at the second import", float(more["new"]), "findings", 0.0, at_least=False),
        Figure("second import", again.wall / first.wall, "of the first", AGAIN_SHARE, at_least=False),
        Figure("CPU of it", again.cpu, "s"),
    ]


def bring_in(root: Path, folder: Path) -> dict[str, int]:
    """Import all reports in a folder; return how many findings there were and are new."""
    workspace = app.open_workspace(root)
    library = app.library(workspace)
    total = new = 0
    for file in sorted(folder.iterdir()):
        done = findings_import.bring_in(
            file, file.name.partition(".")[0], library, workspace, resource="shop"
        )
        total += done.findings
        new += done.new or 0
    return {"findings": total, "new": new}


def _reports(folder: Path, count: int) -> int:
    """Write reports of bandit, semgrep, gitleaks, trivy and checkov (as SARIF) with so many findings."""
    folder.mkdir()
    rng = random.Random(7)  # noqa: S311 - made-up reports
    share = count // 5
    spots = [
        (f"src/m{rng.randrange(900)}/f{rng.randrange(40)}.py", rng.randrange(1, 900)) for _ in range(share)
    ]
    words = "A message as tools write them, of some length, that says what is wrong and why it matters. "
    bandit = [
        {
            "filename": path, "line_number": line, "line_range": [line], "test_id": f"B{600 + n % 40}",
            "issue_text": words, "issue_severity": ["LOW", "MEDIUM", "HIGH"][n % 3],
            "issue_confidence": "HIGH",
            "issue_cwe": {"id": 78}, "code": f"{line} run({n})\\n", "more_info": "https://example.org",
        }
        for n, (path, line) in enumerate(spots)
    ]  # fmt: skip
    semgrep = [
        {
            "path": path, "start": {"line": line, "col": 1}, "end": {"line": line, "col": 20},
            "check_id": f"python.rule{n % 60}",
            "extra": {
                "message": words, "severity": "WARNING", "lines": f"run({n})",
                "metadata": {"cwe": ["CWE-78: x"]},
            },
        }
        for n, (path, line) in enumerate(spots)
    ]  # fmt: skip
    gitleaks = [
        {
            "RuleID": f"key-{n % 20}", "Description": "A key", "File": path, "StartLine": line,
            "EndLine": line, "StartColumn": 1, "EndColumn": 9, "Match": "REDACTED", "Secret": "REDACTED",
            "Commit": "", "Author": "",
        }
        for n, (path, line) in enumerate(spots)
    ]  # fmt: skip
    trivy = {
        "SchemaVersion": 2,
        "Results": [
            {
                "Target": "requirements.txt", "Class": "lang-pkgs", "Type": "pip",
                "Vulnerabilities": [
                    {
                        "VulnerabilityID": f"CVE-2024-{n}", "PkgName": f"p{n % 700}",
                        "InstalledVersion": "1.0", "FixedVersion": "1.1", "Severity": "HIGH", "Title": "t",
                        "Description": words,
                        "PkgIdentifier": {"PURL": f"pkg:pypi/p{n % 700}@1.0"},
                    }
                    for n in range(share)
                ],
            }
        ],
    }  # fmt: skip
    checkov = {
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "checkov", "rules": []}},
                "results": [
                    {
                        "ruleId": f"CKV_{n % 90}", "level": "error", "message": {"text": words},
                        "locations": [
                            {"physicalLocation": {
                                "artifactLocation": {"uri": f"tf/m{n % 300}.tf"},
                                "region": {"startLine": 1 + n // 300},
                            }}
                        ],
                    }
                    for n in range(share)
                ],
            }
        ],
    }  # fmt: skip
    reports: dict[str, Any] = {
        "bandit.json": {"errors": [], "metrics": {"_totals": {}}, "results": bandit},
        "semgrep.json": {"version": "1.0", "errors": [], "results": semgrep, "paths": {"scanned": []}},
        "gitleaks.json": gitleaks, "trivy.json": trivy, "checkov.sarif": checkov,
    }  # fmt: skip
    for name, document in reports.items():
        (folder / name).write_bytes(orjson.dumps(document))
    return 5 * share


def overhead() -> list[Figure]:
    """Scan a repository of 1,000 files; against what the same programs took that it runs side by side.

    First with nothing kept, neither of programs nor of checks, but with Python's bytecode, which an
    installed package has; then as the next repository of the same person is scanned, and that again. CPU is
    that of `lemnis` and its programs together.
    """
    with tempfile.TemporaryDirectory(prefix="lemnis-overhead-") as name:
        folder = Path(name)
        _repository(folder / "shop")
        app.init(folder / "w")
        lemnis = Path(sys.executable).with_name("lemnis")
        argv: list[str | Path] = [lemnis, "scan", folder / "shop", "--json", "-w", folder / "w"]

        def scan(cache: str, *, fresh: bool = True) -> Usage:
            if fresh:
                shutil.rmtree(folder / "w")
                app.init(folder / "w")
            own = {"XDG_CACHE_HOME": str(folder / cache), "PYTHONDONTWRITEBYTECODE": ""}
            return child(argv, codes=(0, 1), keep=True, environment=own)

        scan("before")
        cold, first, again = scan("cache"), scan("cache"), scan("cache", fresh=False)
        alone, longest = _took(first)
        beside, at_first = _beside(first), _beside(cold)
    return [
        Figure("scan of 1,000 files", first.wall, "s"),
        Figure("CPU of it", first.cpu, "s"),
        Figure("scanners of it, the longest", longest, "s"),
        Figure("scanners of it, summed up", alone, "s"),
        Figure("overhead over them side by side", beside, "s", OVERHEAD_S, at_least=False),
        Figure("overhead with nothing kept of checks", at_first, "s", OVERHEAD_S, at_least=False),
        Figure("the same again", again.wall, "s"),
        Figure("CPU of that", again.cpu, "s"),
    ]  # fmt: skip


def _took(scan: Usage) -> tuple[float, float]:
    """Return the seconds of all scanners of a scan together, and of the longest."""
    spans = [one["duration_ms"] / 1000 for one in orjson.loads(scan.output)["health"]]
    return sum(spans), max(spans)


def _beside(scan: Usage) -> float:
    """Return what a scan took beside its scanners, if these shared two cores at best."""
    alone, longest = _took(scan)
    return max(scan.wall - max(longest, alone / 2), 0.0)


def _repository(folder: Path) -> None:
    """Write 1,000 files of the kinds that a service has."""
    for number in range(_FILES):
        part = folder / f"src/m{number % 40}"
        part.mkdir(parents=True, exist_ok=True)
        text = f"import subprocess\n\n\ndef f{number}(name):\n    return name\n"
        if number % 50 == 0:
            text += f"\n\ndef g{number}(name):\n    subprocess.run('echo ' + name, shell=True)\n"
        (part / f"f{number}.py").write_text(text)
    (folder / "Dockerfile").write_text("FROM python:3.12\nRUN pip install x\n")
    (folder / "requirements.txt").write_text("requests==2.0.0\n")
    workflows = folder / ".github/workflows"
    workflows.mkdir(parents=True)
    (workflows / "a.yml").write_text(
        "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - uses: a/b@v1\n"
    )
    git = shutil.which("git")
    if git:
        subprocess.run([git, "init", "--quiet", str(folder)], check=True)


def gate() -> list[Figure]:
    """Ask 50 policies about 1,000 findings."""
    policies = [
        Policy(f"p{n}", _RULE.format(n=n, level=3 + n % 2, cwe=(78, 79, 89)[n % 3]), f"p{n}.rego", ("build",))
        for n in range(_POLICIES)
    ]
    report = ScanReport(tuple(_findings()), ())
    change = change_document(
        repository="shop", commit="c", base="b", author="a", email="e", subject="s", at=0, files=[]
    )
    decide(policies, code_document("build", change, report, ()), "build")
    took, cpu = [], []
    for _ in range(9):
        began, spent = time.perf_counter(), time.process_time()
        made = decide(policies, code_document("build", change, report, ()), "build")
        took.append((time.perf_counter() - began) * 1000)
        cpu.append((time.process_time() - spent) * 1000)
    return [
        Figure(
            "decision over 1,000 findings, 50 policies",
            statistics.median(took),
            "ms",
            GATE_MS,
            at_least=False,
        ),
        Figure("CPU of it", statistics.median(cpu), "ms"),
        Figure("reasons of it", float(len(made.reasons)), "reasons"),
    ]


def _findings() -> Iterator[Finding]:
    for n in range(1000):
        level = Severity(1 + n % 5)
        yield Finding(
            f"fp-{n:016x}", "bandit", f"B{n % 90}", "shell with a variable", level, f"src/m{n % 100}/f.py",
            n + 1, n + 1, ((78, 79, 89)[n % 3],), message="m" * 200, fix="do not",
        )  # fmt: skip


def editor() -> list[Figure]:
    """Change a file of 300 lines in an editor, a line at a time."""
    with tempfile.TemporaryDirectory(prefix="lemnis-editor-") as name:
        desk = editing.Desk.open(Path(name), None, identity=lambda: "bench")
        lines = [f"x{n} = {n}" for n in range(300)]
        desk.typed("app.py", "\n".join(lines))
        took = []
        for n in range(15):
            lines[n * 7] = f"import os; os.system('echo ' + x{n})"
            began = time.perf_counter()
            found = desk.typed("app.py", "\n".join(lines))
            took.append((time.perf_counter() - began) * 1000)
    return [
        Figure(
            "diagnostics of a changed file, median", statistics.median(took), "ms", EDITOR_MS, at_least=False
        ),
        Figure("the slowest of 15", max(took), "ms"),
        Figure("findings in it", float(len(found)), "findings", 15.0),
    ]


LANES: dict[str, Callable[[], list[Figure]]] = {
    "import": imports, "overhead": overhead, "gate": gate, "editor": editor,
}  # fmt: skip
