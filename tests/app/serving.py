"""`lemnis serve` as a program whose events are read as they come; no test itself."""

import os
import queue
import signal
import subprocess
import sys
import threading

import orjson
import yaml

from lemnis import app


class Served:
    """A running `lemnis serve --json`; its events are read as they come."""

    def __init__(self, workspace, *options):
        command = [
            sys.executable,
            "-c",
            "from lemnis.interfaces.cli import main; main()",
            "serve",
            "--json",
            "-w",
            str(workspace.root),
            *options,
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._events = queue.Queue()
        self._said = []
        self._threads = [threading.Thread(target=self._read), threading.Thread(target=self._listen)]
        for thread in self._threads:
            thread.start()
        self.seen = []

    def _read(self):
        for line in self.process.stdout:
            self._events.put(orjson.loads(line))
        self._events.put(None)

    def _listen(self):
        self._said += self.process.stderr

    def wait(self, event, holds=lambda _: True):
        """Return an event of this name for which it holds, and forget it."""
        while True:
            for found in self.seen:
                if found["event"] == event and holds(found):
                    self.seen.remove(found)
                    return found
            found = self._events.get(timeout=90)
            assert found is not None, b"".join(self._said)[-3000:]
            self.seen.append(found)

    def end(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            os.kill(self.process.pid, number)
        code = self.process.wait(90)
        for thread in self._threads:
            thread.join()
        self.process.stdout.close()
        self.process.stderr.close()
        return code, b"".join(self._said).decode()


def receiving_workspace(folder):
    """Make a workspace that listens for HTTP on a free port."""
    made = app.init(folder / "workspace")
    settings = {
        "name": "w",
        "transports": {"in": {"kind": "http", "port": 0}},
        "admin": {"port": 0},
        "workers": 1,
    }
    (made.root / "lemnis.yaml").write_text(yaml.safe_dump(settings))
    return made


def worked(source, accepted):
    return lambda event: event["sources"].get(source, {}).get("accepted") == accepted
