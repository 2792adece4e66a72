"""Words: what is counted is called as one or several are."""

import pytest

from lemnis.interfaces.web.words import counted, units


@pytest.mark.parametrize(
    ("count", "several", "told"),
    [
        (0, "scans", "scans"), (1, "scans", "scan"), (2, "scans", "scans"), (1, "releases", "release"),
        (1, "images attested", "image attested"), (3, "images attested", "images attested"),
        (1, "open findings", "open finding"), (1, "entries", "entry"), (1, "more entities", "more entity"),
    ],
)  # fmt: skip
def test_one_is_called_as_one(count, several, told):
    assert units(count, several) == told


def test_how_many_there_are():
    assert [counted(n, "entries") for n in (0, 1, 1_200)] == ["0 entries", "1 entry", "1,200 entries"]
