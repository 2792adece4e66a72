"""The shell completes queries: fields, values, stages; by the very protocol of bash, and in a bash."""

import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest
import typer
from lakes import START, batch
from typer._completion_classes import BashComplete

from lemnis import app
from lemnis.app import query, searches
from lemnis.contracts.events import EventBatch
from lemnis.interfaces.cli import build

LEMNIS = Path(sys.executable).parent / "lemnis"
HOSTILE = ("$(touch owned)", "`id`", "a'b", 'a"b', "a\nb", "a\x1b[31mb", "a;b", "a b", "!!")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    made = app.init(tmp_path_factory.mktemp("completion") / "w")
    names = ["root", "root", "rosa", *(f"ro{text}" for text in HOSTILE)]
    rows = [
        {"class_uid": 3002, "time": START + n, "metadata": {"uid": f"u{n}"}, "user": {"name": name}}
        for n, name in enumerate(names)
    ]
    searches.save(made, "mine_too", "root")
    app.lake(made).append([EventBatch(3002, "s", "o", pa.Table.from_pylist(rows)), batch(range(20))])
    return made


def completed(word, *before):
    """Return what is offered for a last word, as the shell's protocol asks for it."""
    words = ["lemnis", "search", *before, word]
    completion = BashComplete(typer.main.get_command(build()), {}, "lemnis", "_LEMNIS_COMPLETE")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMP_WORDS", "\n".join(words))
        patch.setenv("COMP_CWORD", str(len(words) - 1))
        return completion.complete().splitlines()


@pytest.mark.parametrize(("typed", "offered"), [
    ('"class:authentication -user.na', ["class:authentication -user.name"]), ('"user.name:ro', ["user.name:root", "user.name:rosa"]),
    ('"user.name:root | st', ["user.name:root | stats"]), ("@mine", ["@mine_too"]),
])  # fmt: skip
def test_what_is_offered_begins_with_what_was_typed(workspace, typed, offered):
    assert completed(typed, "--workspace", str(workspace.root)) == offered


def test_nothing_of_a_log_becomes_a_command_of_the_shell(workspace):
    assert len(query.complete(workspace, "user.name:ro")) == 2 + len(HOSTILE)
    assert completed('"user.name:ro', "-w", str(workspace.root)) == ["user.name:root", "user.name:rosa"]


def test_outside_of_a_workspace_nothing_is_offered_and_nothing_said(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LEMNIS_WORKSPACE", raising=False)
    assert completed("user.na") == []
    assert capsys.readouterr() == ("", "")


def test_tab_completes_in_a_bash(workspace, tmp_path):
    script = tmp_path / "rc"
    asked = f"{LEMNIS} --show-completion; exit $?"  # the shell is told by the process that asks
    code = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True, timeout=60)
    script.write_text(
        f"{code.stdout}\nPATH={LEMNIS.parent}:$PATH\nPS1='ready> '\nbind 'set bell-style none'\n"
    )
    child, screen = pty.fork()
    if not child:
        os.environ["LEMNIS_WORKSPACE"] = str(workspace.root)
        os.execvp("bash", ["bash", "--noprofile", "--rcfile", str(script), "-i"])  # noqa: S606 - bash itself
    try:
        read_until(screen, "ready> ")
        os.write(screen, b'lemnis search --json "class:authentication user.name:roo\t')
        assert "user.name:root" in read_until(screen, "user.name:root")
        os.write(screen, b"\n")
        hit = json.loads(next(one for one in read_until(screen, '"uid":"u0"').splitlines() if '"u0"' in one))
    finally:
        os.close(screen)
        os.waitpid(child, 0)
    assert hit["event"]["user"] == {"name": "root"}


def read_until(screen, text, seconds=60):
    """Return what a terminal shows until a text is in it."""
    seen, end = b"", time.monotonic() + seconds
    while text.encode() not in seen or not seen.endswith((b"> ", b'" ', b"\n", b"root")):
        assert select.select([screen], [], [], max(0, end - time.monotonic()))[0], seen
        seen += os.read(screen, 65_536)
    return seen.decode()
