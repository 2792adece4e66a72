"""Write the example shop's git repository: the same commits, with the same ids, on every machine.

    python3 examples/shop/make_history.py DIR [--json]

Each folder in ``history/`` is one commit: ``commit.json`` says who, when and why, ``files/`` holds what it
adds or changes, ``delete`` in the former what it takes away. A commit with ``branch`` goes onto a branch of
its own, on top of the last one on main. Nothing of the machine enters: no configuration, no clock, no modes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

HISTORY = Path(__file__).parent / "history"
MAIN = "main"


def make(target: Path) -> dict[str, Any]:
    """Write the repository into ``target``, which must not exist or be empty, and return its commits.

    The result has ``commits`` (folder name to commit id, in order), ``main`` (its head), ``branches`` and
    ``tags`` (name to commit id).
    """
    if target.exists() and any(target.iterdir()):
        raise FileExistsError(f"{target} is not empty")
    target.mkdir(parents=True, exist_ok=True)
    _git(target, "init", "--quiet", "--object-format=sha1", f"--initial-branch={MAIN}", ".")
    folders = sorted(path.parent for path in HISTORY.glob("*/commit.json"))
    _git(target, "fast-import", "--quiet", "--export-marks=.git/marks", data=_stream(folders))
    marks = (target / ".git" / "marks").read_text(encoding="ascii").split()
    (target / ".git" / "marks").unlink()
    ids = dict(zip(marks[::2], marks[1::2], strict=True))
    _git(target, "reset", "--quiet", "--hard", MAIN)
    commits = {folder.name: ids[f":{number}"] for number, folder in enumerate(folders, 1)}
    about = {folder.name: _about(folder) for folder in folders}
    return {
        "commits": commits,
        "main": next(commits[name] for name in reversed(commits) if "branch" not in about[name]),
        "branches": {a["branch"]: commits[n] for n, a in about.items() if "branch" in a},
        "tags": {a["tag"]: commits[n] for n, a in about.items() if "tag" in a},
    }


def _stream(folders: list[Path]) -> bytes:
    """Return the commits in the language of ``git fast-import``."""
    out: list[bytes] = []
    head = 0
    for number, folder in enumerate(folders, 1):
        about = _about(folder)
        who = f"{about['author']} {int(datetime.fromisoformat(about['date']).timestamp())} +0000"
        ref = f"refs/heads/{about.get('branch', MAIN)}"
        message = about["message"].encode() + b"\n"
        out.append(f"commit {ref}\nmark :{number}\nauthor {who}\ncommitter {who}\n".encode())
        out.append(b"data %d\n%s" % (len(message), message))
        if head:
            out.append(b"from :%d\n" % head)
        out += [f"D {path}\n".encode() for path in about.get("delete", [])]
        files = folder / "files"
        for path in sorted(p for p in files.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
            content = path.read_bytes()
            out.append(f"M 100644 inline {path.relative_to(files).as_posix()}\n".encode())
            out.append(b"data %d\n%s\n" % (len(content), content))
        if "tag" in about:
            out.append(f"reset refs/tags/{about['tag']}\nfrom :{number}\n".encode())
        if "branch" not in about:
            head = number
    return b"".join(out)


def _about(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "commit.json").read_text(encoding="utf-8"))
    return found


def _git(repository: Path, *arguments: str, data: bytes = b"") -> None:
    """Run git without any configuration but the repository's own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}
    subprocess.run(["git", "-C", str(repository), *arguments], input=data, check=True, env=environment)


def main() -> int:
    """Parse, make, print."""
    parser = argparse.ArgumentParser(description="Write the example shop's git repository.")
    parser.add_argument("target", type=Path)
    parser.add_argument("--json", action="store_true", help="print the commit ids as JSON")
    arguments = parser.parse_args()
    try:
        made = make(arguments.target)
    except FileExistsError as error:
        print(f"{error}; name a new folder", file=sys.stderr)
        return 2
    if arguments.json:
        print(json.dumps(made))
    else:
        for name, commit in made["commits"].items():
            print(commit, name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
