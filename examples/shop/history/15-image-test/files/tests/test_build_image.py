import io
import tarfile
from subprocess import CalledProcessError

import pytest

from tools import build_image


def test_the_layer_is_a_readable_archive_in_a_fixed_order():
    archive = build_image.layer([("shop/b.py", 0o644, b"b" * 600), ("shop/a.py", 0o644, b"")])
    names = tarfile.open(fileobj=io.BytesIO(archive)).getnames()
    assert names == ["app", "app/shop", "app/shop/a.py", "app/shop/b.py"]


def test_an_unknown_commit_gives_no_image(tmp_path):
    with pytest.raises(CalledProcessError):
        build_image.build(tmp_path, "HEAD")
