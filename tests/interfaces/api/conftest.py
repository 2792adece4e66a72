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


@pytest.fixture
def built(okta, tmp_path):
    """A console over a copy of it, with somebody of each role (who is called as the role is)."""
    root = shutil.copytree(okta, tmp_path / "soc")
    made = guarding.console_of(app.open_workspace(root))
    made.access.cookies = {}
    for role in sorted(made.access.rights.roles):
        made.access.cookies[role] = guarding.joined(made, role, role, teams=["shop"])
    return made


@pytest.fixture
def incident(built):
    (one,) = incidents.incidents(built.access.workspace)
    return one
