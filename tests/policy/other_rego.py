"""Another evaluator of Rego (regopy) in a process of its own, to compare ours with.

It does not survive all that it is asked, holds texts without their quotes, and gives undefined where OPA errs:
only questions are put to it that it is known to answer.
"""

import json
import subprocess
import sys

WORKER = """
import json, sys
from regopy import Interpreter, LogLevel
for line in sys.stdin:
    question = json.loads(line)
    try:
        engine = Interpreter()
        engine.log_level = LogLevel.NONE
        engine.strict_built_in_errors = True
        engine.add_module("m", question["module"])
        engine.set_input_term(json.dumps(question["input"]))
        output = engine.query(question["query"])
        said = "undefined" if str(output) == "undefined" else json.loads(str(output)).get("expressions", ["undefined"])[0]
        answer = {"value": said} if output.ok() else {"error": True}
    except Exception as error:
        answer = {"error": True}
    print(json.dumps(answer), flush=True)
"""
ERROR = "error"


class Reference:
    """Asks regopy; a question that kills it is an error."""

    def __init__(self):
        self.process = None

    def ask(self, module, query, document):
        """Return the value; ``"undefined"`` and ``"error"`` are what they say."""
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, "-c", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, text=True,
            )  # fmt: skip
        self.process.stdin.write(json.dumps({"module": module, "query": query, "input": document}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        while line and not line.startswith("{"):  # it prints what it thinks of a module
            line = self.process.stdout.readline()
        if not line:
            self.close()
            return ERROR
        answer = json.loads(line)
        return ERROR if "error" in answer else answer["value"]

    def close(self):
        """End the process."""
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.communicate()
