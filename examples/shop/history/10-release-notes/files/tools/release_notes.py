"""Print the subjects of the commits since the last tag."""

import subprocess

LOG = ["git", "log", "--no-merges", "--format=%h %s", "HEAD"]


def notes(lines: str) -> str:
    return "".join(f"- {line.partition(' ')[2]} ({line.partition(' ')[0]})\n" for line in lines.splitlines())


if __name__ == "__main__":
    print(notes(subprocess.run(LOG, check=True, capture_output=True, text=True).stdout), end="")
