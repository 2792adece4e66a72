"""Rules that change while logs are followed: taken over when sound, told when not, and no event is lost."""

import logging
import threading
import time
import uuid

import pytest

from lemnis import app
from lemnis.app import ingest, reloading
from lemnis.app.watch import Watch
from lemnis.content.library import Library
from lemnis.contracts.clock import ManualClock
from lemnis.incidents import entries as writing

NOW = 1_762_200_000_000
RULE = """\
title: {title}
id: {id}
status: test
logsource: {{category: webserver}}
detection:
  selection:
    cs-user-agent|contains: {word}
  condition: selection
level: low
"""
LINE = '192.0.2.{n} - - [03/Nov/2025:10:00:{n:02} +0000] "GET /{n} HTTP/1.1" 200 5 "-" "{agent}"\n'


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.setattr(reloading, "EVERY_S", 0.05)
    return app.init(tmp_path / "workspace", clock=ManualClock(NOW))


def write(workspace, word, name="mine"):
    """Write a rule, as an editor does: another file takes the place of the old one."""
    folder = workspace.content / "detections" / name
    folder.mkdir(parents=True, exist_ok=True)
    text = RULE.format(title=f"looks for {word}", id=uuid.uuid5(uuid.NAMESPACE_URL, name), word=word)
    spoilt = text.replace("cs-user-agent|contains", "cs-user-agent|frobnicate") if word == "spoilt" else text
    (workspace.root / "new.yml").write_text(spoilt)
    (workspace.root / "new.yml").replace(folder / "rule.yml")


def alerts(workspace):
    """Return the titles of the alerts with the events they are of, and the digests they name."""
    found = [writing.read_alert(entry) for entry in app.journal(workspace).entries(kind=writing.ALERT)]
    return sorted((a.title, a.event["src_endpoint"]["ip"]) for a in found), {a.content_digest for a in found}


class Writer:
    """Follows a log in this thread while another one writes it and changes rules."""

    def __init__(self, workspace, path):
        self.run = ingest.Ingest(workspace, "web_combined", ingest.watcher(workspace))
        self.path, self.stop, self.count, self.failed = path, threading.Event(), 0, []
        self.path.touch()

    def log(self, *agents):
        """Write a line for each agent and wait until all are in."""
        with self.path.open("a") as file:
            for agent in agents:
                self.count += 1
                file.write(LINE.format(n=self.count, agent=agent))
        self.until(lambda: self.run.totals.accepted == self.count)

    def until(self, done):
        end = time.monotonic() + 120  # the first lines may be waited for by a compiler
        while time.monotonic() < end and not done():
            time.sleep(0.02)
        assert done()

    def reloaded(self, change):
        """Change rules and wait until the running process has them."""
        before = self.run.watcher.library.digest
        change()
        self.until(lambda: self.run.watcher.library.digest != before)

    def follow(self, act):
        def acting():
            try:
                act()
            except AssertionError as error:
                self.failed.append(error)
            finally:
                self.stop.set()

        thread = threading.Thread(target=acting)
        thread.start()
        self.run.follow([self.path], self.stop.is_set)
        thread.join()
        for error in self.failed:
            raise error


def test_a_rule_that_changes_midway_is_used_from_then_on(workspace, tmp_path):
    write(workspace, "alpha")
    writer = Writer(workspace, tmp_path / "access.log")
    old = writer.run.watcher.library.digest

    def act():
        writer.log("an alpha tool", "a beta tool")
        writer.reloaded(lambda: write(workspace, "beta"))
        writer.log("an alpha tool", "a beta tool")
        writer.reloaded(lambda: write(workspace, "gamma", "another"))
        writer.log("a gamma tool and a beta tool")

    writer.follow(act)
    found, digests = alerts(workspace)
    assert found == [
        ("looks for alpha", "192.0.2.1"),
        ("looks for beta", "192.0.2.4"),
        ("looks for beta", "192.0.2.5"),
        ("looks for gamma", "192.0.2.5"),
    ]
    assert {old, writer.run.watcher.library.digest} < digests
    assert len(digests) == 3
    assert writer.run.totals.accepted == 5
    kept = app.lake(workspace).query("SELECT raw_data FROM events WHERE metadata.log_name = 'web_combined'")
    assert sorted(kept.column("raw_data").to_pylist()) == (tmp_path / "access.log").read_text().splitlines()


def test_a_broken_rule_is_told_and_the_old_one_goes_on(workspace, tmp_path, caplog):
    write(workspace, "alpha")
    writer = Writer(workspace, tmp_path / "access.log")

    def told():
        return [record.message for record in caplog.records if record.name == "lemnis.reload"]

    def act():
        writer.log("an alpha tool")
        write(workspace, "spoilt")
        writer.until(told)
        writer.log("an alpha tool")
        writer.reloaded(lambda: write(workspace, "beta"))
        writer.log("an alpha tool", "a beta tool")

    with caplog.at_level(logging.WARNING):
        writer.follow(act)
    (said,) = told()
    assert "frobnicate" in said
    assert "mine/rule.yml:7" in said
    assert "the old one goes on" in said
    assert alerts(workspace)[0] == [
        ("looks for alpha", "192.0.2.1"),
        ("looks for alpha", "192.0.2.2"),
        ("looks for beta", "192.0.2.4"),
    ]


def own(watching):
    return [rule.title for rule in watching.detection.rules if rule.title.startswith("looks for")]


def test_the_next_batch_sees_the_new_rules_without_a_pause(workspace):
    write(workspace, "alpha")
    watching = Watch(workspace)
    watching.watch([])
    first = watching.detection
    write(workspace, "beta")
    watching.watch([])
    assert watching.detection is first  # nobody asked it to keep up
    watching.refresh()
    assert own(watching) == ["looks for beta"]
    write(workspace, "gamma")
    end = time.monotonic() + 30  # a machine that takes long to look does so less often
    while own(watching) == ["looks for beta"] and time.monotonic() < end:
        time.sleep(0.02)
        watching.watch([])
    assert own(watching) == ["looks for gamma"]


class Built:
    problems = ()


def test_files_are_looked_at_now_and_then_and_read_only_when_one_changed(workspace):
    write(workspace, "alpha")
    now, builds = [0.0], []

    def build(library):
        builds.append(library.digest)
        return Built()

    library = Library.open(workspace.content)
    watching = reloading.Reloading(
        library, Built(), workspace.content, build, every_s=2, clock=lambda: now[0]
    )
    assert watching.newer() is None
    write(workspace, "beta")
    assert watching.newer() is None  # not yet
    now[0] = 2.5
    found, built = watching.newer()
    assert builds == [found.digest]
    assert isinstance(built, Built)
    for _ in range(5):
        now[0] += 3
        assert watching.newer() is None
    (workspace.content / "detections/mine/rule.yml").touch()
    now[0] += 3
    assert watching.newer() is None
    assert len(builds) == 1  # the same bytes again


def test_what_was_wrong_before_does_not_hold_up_what_is_new(workspace, caplog):
    write(workspace, "spoilt", "old")
    write(workspace, "alpha")
    watching = Watch(workspace)
    watching.refresh()
    write(workspace, "beta")
    time.sleep(0.1)
    watching.refresh()
    assert "looks for beta" in [rule.title for rule in watching.detection.rules]
    (workspace.content / "detections/linked").symlink_to(workspace.content / "detections/mine")
    (workspace.content / "detections/mine/link").symlink_to("/etc/hostname")
    time.sleep(0.1)
    watching.refresh()
    assert "a link" in caplog.text
    assert "looks for beta" in [rule.title for rule in watching.detection.rules]
