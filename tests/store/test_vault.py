import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lemnis.contracts.errors import IntegrityError, NotFoundError
from lemnis.store.vault import FileVault


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=5))
def test_what_is_put_is_got(tmp_path_factory, values):
    vault = FileVault(tmp_path_factory.mktemp("vault"))
    digests = [vault.put(value) for value in values]
    assert [vault.get(name) for name in digests] == values
    assert sum(path.is_file() for path in vault.root.rglob("*")) == len(set(digests))


def test_files_are_private(tmp_path):
    FileVault(tmp_path / "v").put(b"evidence")
    modes = {
        p.is_dir(): stat.S_IMODE(p.stat().st_mode) for p in [tmp_path / "v", *(tmp_path / "v").rglob("*")]
    }
    assert modes == {True: 0o700, False: 0o600}


def test_altered_evidence_is_refused_and_mended_by_the_good_bytes(tmp_path):
    vault = FileVault(tmp_path)
    name = vault.put(b"evidence")
    (file,) = (path for path in tmp_path.rglob("*") if path.is_file())
    file.write_bytes(b"Evidence")
    with pytest.raises(IntegrityError, match="altered"):
        vault.get(name)
    assert vault.put(b"evidence") == name
    assert vault.get(name) == b"evidence"


@pytest.mark.parametrize("name", ["sha256:" + "0" * 64, "sha256:../../etc/passwd", "", "sha256:" + "A" * 64])
def test_what_is_not_there_is_not_found(tmp_path, name):
    with pytest.raises(NotFoundError):
        FileVault(tmp_path).get(name)


def test_a_write_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def fail(self, target):
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        FileVault(tmp_path).put(b"evidence")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@settings(max_examples=20, deadline=None)
@given(st.binary(max_size=3000))
def test_a_file_is_stored_as_its_bytes_are_and_lies_where_it_is_said(tmp_path_factory, value):
    folder = tmp_path_factory.mktemp("vault")
    (folder / "given").write_bytes(value)
    vault = FileVault(folder / "v")
    name = vault.put_file(folder / "given")
    assert name == vault.put(value) == vault.put_file(folder / "given")
    assert vault.get(name) == vault.place(name).read_bytes() == value
    assert [p.name for p in vault.root.rglob("*") if p.is_file()] == [name[9:]]
    assert stat.S_IMODE(vault.place(name).stat().st_mode) == 0o600
    with pytest.raises(NotFoundError, match="no evidence"):
        vault.place("sha256:" + "0" * 64)
