"""Lint on a whole pack: what maintained rules are told has to be true, so it has to be little."""

import tarfile
from collections import Counter
from pathlib import Path

import pytest
import zstandard

from lemnis.app.rules_lint import lint_paths
from lemnis.content.library import Library

PACK = Path(__file__).parents[3] / "shared/data/sigma-rules/sigma-rules.tar.zst"
MAINTAINED = ("rules", "rules-emerging-threats", "rules-threat-hunting", "rules-compliance", "rules-dfir")


@pytest.mark.slow
def test_maintained_rules_are_told_little(tmp_path):
    if not PACK.is_file():
        pytest.skip("shared/data is not beside this repository")
    with PACK.open("rb") as file, zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(file) as plain, \
            tarfile.open(fileobj=plain, mode="r|") as tar:  # fmt: skip
        tar.extractall(tmp_path, filter="data")
    done = lint_paths(Library.open(), [path for name in MAINTAINED if (path := tmp_path / name).is_dir()])
    found = Counter(one.check for one in done.findings)
    assert done.rules > 3_000
    # fields that Windows and Linux do not write (GrandParentImage, DestinationHostname of Sysmon for Linux …)
    assert found.pop("field") < 30
    # a rule of the pack that asks one field for two values at once
    unreachable = [one.at.file.rpartition("/")[2] for one in done.findings if one.check == "unreachable"]
    assert unreachable in ([], ["aws_ses_messaging_enabled.yml"])
    found.pop("unreachable", None)
    # products that no source is for, each told once
    assert found.pop("logsource") < 100
    assert sum(found.values()) < 10, found
