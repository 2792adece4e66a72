"""Work in a process of its own: what it gives, what it raises, and that it ends with who began it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lemnis.app.apart import apart
from lemnis.contracts.errors import ServiceError, UsageError

PARENT = """
import sys, time
from lemnis.app.apart import apart
if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    import test_apart
    apart(test_apart.waiting, sys.argv[2])
"""


def waiting(path):
    Path(path).write_text(str(os.getpid()), encoding="ascii")
    time.sleep(60)


def wrong():
    raise UsageError("no", fix="do not")


def given_back():
    return os.getpid(), os.nice(0)


def killed():
    os.kill(os.getpid(), 9)


def there(pid):
    """Say whether a process runs; one that ended and nobody has asked for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def within(seconds, done):
    until = time.monotonic() + seconds
    while not done():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def test_what_it_gives_and_raises():
    pid, nice = apart(given_back)
    assert pid != os.getpid()
    assert nice > os.nice(0) or nice == 19
    with pytest.raises(UsageError, match="no"):
        apart(wrong)
    with pytest.raises(ServiceError, match="killed"):
        apart(killed)


@pytest.mark.parametrize("number", [9, 15])
def test_it_ends_with_who_began_it(tmp_path, number):
    told = tmp_path / "pid"
    script = tmp_path / "parent.py"
    script.write_text(PARENT, encoding="utf-8")
    parent = subprocess.Popen([sys.executable, str(script), str(Path(__file__).parent), str(told)])
    try:
        assert within(90, lambda: told.exists() and told.read_text(encoding="ascii"))
        child = int(told.read_text(encoding="ascii"))
        assert there(child)
    finally:
        parent.send_signal(number)
        parent.wait(60)
    assert within(60, lambda: not there(child))
