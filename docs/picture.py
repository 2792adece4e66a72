"""Draws docs/img/demo.svg from a real run of `lemnis demo`: stages that one would rather see than read of.

python docs/picture.py
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

SHOWN = ("detect", "trace", "gate")
WIDTH = 108
TARGET = Path(__file__).parent / "img" / "demo.svg"
STAGES = "init|build|operate|detect|incident|respond|trace|learn|prove|gate"
HEADING = re.compile(rf"^(?:{STAGES})  .*─{{3,}}$")


def main() -> None:
    """Run the demonstration in colour, keep the chosen stages, write the picture."""
    command = [str(Path(sys.executable).parent / "lemnis"), "demo"]
    colour = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(WIDTH), "TERM": "xterm-256color"}
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder) / "demo"
        command += ["--dir", str(where)]
        done = subprocess.run(command, env=colour, capture_output=True, check=True, text=True)
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    stage = ""
    for line in done.stdout.splitlines():
        text = Text.from_ansi(line)
        if HEADING.match(text.plain.rstrip()):
            stage = text.plain.split()[0]
        if stage in SHOWN and str(where) not in text.plain:
            console.print(text, no_wrap=True, overflow="ellipsis")
    TARGET.parent.mkdir(exist_ok=True)
    svg = console.export_svg(title="lemnis demo", unique_id="demo")
    # The font is the reader's own monospace one: a picture in a repository loads nothing from elsewhere.
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    TARGET.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
