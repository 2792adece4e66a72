"""Feeds made of real data, and a hundred thousand components looked up in them."""

import os
import tarfile
import time
from pathlib import Path

import pytest
import zstandard

from lemnis.app import feeds, vulnerabilities
from lemnis.contracts.clock import from_iso
from lemnis.scan.sbom import Sbom
from lemnis.scan.sbom_locks_python import component

DATA = Path(os.environ.get("LEMNIS_BENCH_DATA", Path(__file__).parents[3] / "shared/data")) / "threat-intel"
NOW = from_iso("2026-11-30T00:00:00Z")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    where = tmp_path_factory.mktemp("real")
    for name in ("pypa-advisories", "cisa-kev", "epss"):
        path = DATA / name / f"{name}.tar.zst"
        if not path.is_file():
            pytest.skip(f"{name} is not in {DATA}")
        with zstandard.open(path) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
            tar.extractall(where / name, filter="data")
    made = where / "feeds"
    feeds.pull(made, "osv", [str(where / "pypa-advisories")], now=NOW)
    feeds.pull(made, "kev", [str(where / "cisa-kev" / "known_exploited_vulnerabilities.json")], now=NOW)
    feeds.pull(made, "epss", [str(where / "epss")], now=NOW, until=from_iso("2026-08-16"))
    return made


def test_what_real_data_hold(root):
    told = {
        one.name: (sum(one.manifest.entries.values()), one.manifest.rejected) for one in feeds.known(root)
    }
    assert told == {"osv": (1675, 0), "kev": (1404, 0), "epss": (360142, 0)}


def test_known_vulnerabilities_of_known_versions(root):
    parts = [component("Django", "4.2.1"), component("PyYAML", "5.1"), component("django", "5.0.8")]
    result = vulnerabilities.look([Sbom("x", tuple(parts))], root)
    found = {
        (one.match.package.name, one.match.package.version, one.match.names[0]) for one in result.assessed
    }
    assert {("django", "4.2.1", "CVE-2024-41991"), ("pyyaml", "5.1", "CVE-2020-1747")} <= found
    assert ("django", "5.0.8", "CVE-2024-41991") not in found
    assert result.until == 1728580920587
    assert all(one.likely for one in result.assessed if one.match.names[0].startswith("CVE-20"))


def test_a_hundred_thousand_components_take_seconds(root):
    parts = [component(f"pkg{n}", f"{n % 9}.{n % 7}") for n in range(80_000)]
    parts += [
        component(("flask", "requests", "jinja2", "pillow")[n % 4], f"{n % 6}.{n % 11}")
        for n in range(20_000)
    ]
    began = time.process_time()
    result = vulnerabilities.look([Sbom("x", tuple(parts))], root)
    assert len(result.assessed) > 10_000
    assert time.process_time() - began < 30
