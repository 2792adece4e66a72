"""The child of the lane `import`: imports all reports of a folder, and says what came of it."""

from __future__ import annotations

import sys
from pathlib import Path

import orjson

from bench.pipeline import bring_in

if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(bring_in(Path(sys.argv[1]), Path(sys.argv[2]))) + b"\n")
