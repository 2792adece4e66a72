"""What the printer host does to a text."""

import textwrap


def break_lines(text: str, width: int) -> str:
    return "".join(line + "\n" for line in textwrap.wrap(text, width))
