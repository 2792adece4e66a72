"""The process that runs Rego: one question a line on stdin, one answer a line. Run by path, imports no room.

The engine is native code that policies from elsewhere run in, and it does not always survive them: here it
can neither take the caller with it, nor see its environment, nor use more memory or time than it is given.
Arguments: bytes of memory, seconds of processor time a question.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

from regopy import Interpreter, LogLevel


def main(memory: int, seconds: int) -> None:
    """Answer until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)  # the engine prints what it thinks of a policy
    os.dup2(null, 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    held = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + memory, held + memory))  # its allocator reserves at start
    for line in sys.stdin:
        used = resource.getrusage(resource.RUSAGE_SELF)
        limit = int(used.ru_utime + used.ru_stime) + seconds + 1
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
        try:
            answer = ask(json.loads(line))
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller is told
            answer = {"error": str(getattr(error, "doc", error)) or type(error).__name__}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def ask(question: dict[str, Any]) -> dict[str, Any]:
    """Evaluate one query over the modules and the input; ``undefined`` if it has no value."""
    engine = Interpreter()
    engine.log_level = LogLevel.NONE
    engine.strict_built_in_errors = True
    for number, text in enumerate(question["modules"]):
        engine.add_module(f"m{number}", text)
    engine.set_input_term(question["input"])
    output = engine.query(question["query"])
    if not output.ok():
        return {"error": "a builtin refused its argument, or a rule has two values (the engine does not say)"}
    if str(output) == "undefined":
        return {"undefined": True}
    expressions = json.loads(str(output)).get("expressions")
    return {"value": expressions[0]} if expressions else {"undefined": True}


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
