"""Words: what is counted is called as one or several are."""

import pytest

from lemnis.interfaces.web.words import units


@pytest.mark.parametrize(
    ("count", "several", "told"),
    [
        (0, "scans", "scans"), (1, "scans", "scan"), (2, "scans", "scans"), (1, "releases", "release"),
        (1, "images attested", "image attested"), (3, "images attested", "images attested"),
    ],
)  # fmt: skip
def test_one_is_called_as_one(count, several, told):
    assert units(count, several) == told
