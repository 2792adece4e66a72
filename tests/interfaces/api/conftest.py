import contextlib
import io
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import guarding

from lemnis import app
from lemnis.app import incidents
from lemnis.content.library import builtin_root
from lemnis.interfaces.cli import run


@pytest.fixture(scope="session")
def okta(tmp_path_factory):
    """A workspace into which what Okta tells came, made once: it is not to be changed, as its copies are."""
    root = tmp_path_factory.mktemp("okta") / "soc"
    app.init(root)
    for source in ("okta", "mysql_audit"):
        samples = builtin_root() / "sources" / source / "samples"
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            assert run(["ingest", source, str(samples), "--workspace", str(root)]) == 0
    return root


@pytest.fixture(scope="session")
def staffed(okta, tmp_path_factory):
    """A copy of it with somebody of each role (who is called as the role is), and their sessions' cookies."""
    root = shutil.copytree(okta, tmp_path_factory.mktemp("staffed") / "soc")
    made = guarding.console_of(app.open_workspace(root))
    cookies = {
        role: guarding.joined(made, role, role, teams=["shop"]) for role in sorted(made.access.rights.roles)
    }
    return root, cookies


@pytest.fixture
def built(staffed, tmp_path):
    """A console over a copy of that."""
    root, cookies = staffed
    made = guarding.console_of(app.open_workspace(shutil.copytree(root, tmp_path / "soc")))
    made.access.idle_ms = (
        made.access.lasts_ms
    )  # since the sessions began, other tests may have run for an hour
    made.access.cookies = dict(cookies)
    return made


@pytest.fixture
def incident(built):
    (one,) = incidents.incidents(built.access.workspace)
    return one
