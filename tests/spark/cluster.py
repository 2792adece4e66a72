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
from threading import Event, Thread

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
    """Kills an executor that works; ``failed`` is how many tasks that cost, 0 if none was running.

    An executor may just have nothing to do, so it tries again then, but not for ever: Spark gives up on a task
    that fails four times. It ends when ``over`` is set.
    """

    def __init__(self, tracker, folder):
        super().__init__()
        self.over = Event()
        self.failed = self.killed = 0
        self._tracker, self._folder = tracker, folder
        self._before = set(tracker.getJobIdsForGroup())

    def run(self):
        while not self.over.is_set() and not self._failed() and self.killed < 3:
            alive = executors(self._folder)
            if alive and any(stage.numActiveTasks and "toArrow" in stage.name for stage in self._stages()):
                os.kill(alive[self.killed % len(alive)], signal.SIGKILL)
                self.killed += 1
                self._wait()
            time.sleep(0.02)
        self._failed()

    def _wait(self):
        until = time.monotonic() + 5
        while time.monotonic() < until and not self._failed():
            time.sleep(0.02)

    def _failed(self):
        self.failed = max(self.failed, sum(stage.numFailedTasks for stage in self._stages()))
        return self.failed

    def _stages(self):
        for job in set(self._tracker.getJobIdsForGroup()) - self._before:
            told = self._tracker.getJobInfo(job)
            for number in told.stageIds if told else ():
                stage = self._tracker.getStageInfo(number)
                if stage is not None:
                    yield stage
