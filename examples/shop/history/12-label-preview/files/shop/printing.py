"""What the printer host does to a text, done here by the same programs."""

import subprocess

WAIT = 10


def break_lines(text: str, width: int) -> str:
    done = subprocess.run(
        ["/bin/sh", "-c", f"echo {text} | fold -s -w {width}"], capture_output=True, text=True, timeout=WAIT
    )
    return done.stdout
