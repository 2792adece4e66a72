"""Retro-hunts to run: a workspace with logs of several sources over days; not a test itself."""

import correlated
import ingesting
import lived

from lemnis import app
from lemnis.app import retro
from lemnis.app.ingest import Ingest
from lemnis.app.retro_question import Rules
from lemnis.app.retro_units import Range


def workspace(folder):
    """Make a workspace with rules and correlations, and a lake of files of three classes and two weeks."""
    made = lived.workspace(folder)
    correlated.content(made.content)
    logs = ingesting.Logs(folder / "logs")
    logs.grow(300)
    (logs.folder / "requests.log").write_text("".join(lived.requests()))
    (logs.folder / "logins.jsonl").write_text("".join(correlated.lines(400)))
    for source, name in (
        ("web_combined", "requests.log"), ("web_combined", "access.log"), ("linux_syslog", "auth.log"),
        ("linux_audit", "audit.log"), ("windows", "logins.jsonl"),
    ):  # fmt: skip
        Ingest(made, source).run([logs.folder / name])
        app.lake(made).flush()
    return made


def question(workspace, paths=None, library=None):
    return Rules.of(library or app.library(workspace), app.lake(workspace).schemas(), paths=paths)


def run(asked, workspace, limits=Range(), **options):  # noqa: B008 - frozen
    """Run a hunt to its end and return what it did, and what it gathered."""
    planned = retro.plan(app.lake(workspace), asked, limits, measured=False)
    gathered = asked.gathering()
    return retro.run(asked, planned, gathered.add, **options), gathered
