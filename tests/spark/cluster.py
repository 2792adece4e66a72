"""A standalone Spark cluster on loopback: a master and two workers as processes of their own; not a test itself."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

_STARTED = []
_STARTS_S = 180
BRIEF = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""How Java runs what does not run for long: compiling much is not worth it."""


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


@contextmanager
def running(folder, workers=2):
    """Start a cluster and yield its address; everything that it started ends with it."""
    home = Path(importlib.util.find_spec("pyspark").origin).parent
    environment = {
        **os.environ, "SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_LOG_DIR": str(folder),
        "SPARK_DAEMON_MEMORY": "256m", "SPARK_DAEMON_JAVA_OPTS": BRIEF, "PYSPARK_PYTHON": sys.executable,
    }  # fmt: skip
    address = f"spark://127.0.0.1:{free_port()}"
    port = address.rpartition(":")[2]
    started = []

    def start(name, *arguments):
        log = (folder / f"{name}.log").open("wb")
        command = [home / "bin" / "spark-class", *arguments]
        started.append(
            subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        )
        _STARTED.append(started[-1].pid)
        log.close()

    try:
        master = ("org.apache.spark.deploy.master.Master", "--host", "127.0.0.1", "--port", port)
        start("master", *master, "--webui-port", str(free_port()))
        for number in range(workers):
            start(
                f"worker{number}", "org.apache.spark.deploy.worker.Worker", "--host", "127.0.0.1",
                "--webui-port", str(free_port()), "--cores", "1", "--memory", "1g",
                "--work-dir", str(folder / f"work{number}"), address,
            )  # fmt: skip
        _wait(folder / "master.log", workers)
        yield address
    finally:
        for process in started:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(log, workers):
    until = time.monotonic() + _STARTS_S
    while log.read_text().count("Registering worker") < workers:
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.2)


def sessions():
    """Return the sessions of the processes that were started, by which those that they start are known."""
    return set(_STARTED)


def executors(folder):
    """Return the ids of the processes that run tasks for the workers whose folders are below this one."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                line = (process / "cmdline").read_bytes().decode(errors="replace")
                place = (process / "cwd").readlink()
            except OSError:
                continue
            if "CoarseGrainedExecutorBackend" in line and place.is_relative_to(folder):
                found.append(int(process.name))
    return sorted(found)


class Killer(Thread):
    """Kills an executor that works on a job; ``failed`` is how many tasks that cost, 0 if none was running.

    An executor may just have nothing to do, so it tries another one then, but not for ever: Spark gives up on a
    task that fails four times.
    """

    def __init__(self, tracker, folder):
        super().__init__()
        self.failed = 0
        self._tracker, self._folder, self._until = tracker, folder, time.monotonic() + 300

    def run(self):
        while (stage := self._active()) is None and time.monotonic() < self._until:
            time.sleep(0.01)
        for attempt in range(3):
            time.sleep(0.3)
            alive = executors(self._folder)
            if stage is None or not alive or self._active() is None:
                return
            os.kill(alive[attempt % len(alive)], signal.SIGKILL)
            if self._lost(stage):
                return

    def _lost(self, stage):
        until = time.monotonic() + 20
        while time.monotonic() < until and self._active() is not None:
            told = self._tracker.getStageInfo(stage)
            self.failed = told.numFailedTasks if told is not None else 0
            if self.failed:
                return True
            time.sleep(0.01)
        return False

    def _active(self):
        for job in self._tracker.getActiveJobsIds():
            told = self._tracker.getJobInfo(job)
            for number in told.stageIds if told else ():
                stage = self._tracker.getStageInfo(number)
                if stage is not None and "toArrow" in stage.name and stage.numActiveTasks > 0:
                    return number
        return None
