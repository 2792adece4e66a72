"""Which advisories are about which versions: events, orders, aliases, what is not known."""

import io
import os
import tarfile
from collections import defaultdict
from pathlib import Path

import pytest
import zstandard
from advised import component, database, record
from hypothesis import example, given
from hypothesis import strategies as st

from lemnis.content import yaml
from lemnis.contracts.errors import IntegrityError, RecordError
from lemnis.scan import advisories, advisories_db, matching, versions
from lemnis.scan.advisories import Range
from lemnis.scan.ecosystems import Package, package

DATA = Path(os.environ.get("LEMNIS_BENCH_DATA", Path(__file__).parents[3] / "shared/data")) / "threat-intel"


def found(tmp_path, one, *records):
    with database(tmp_path / "osv.db", *records) as known:
        return matching.match([one], known)


@pytest.mark.parametrize(
    ("events", "inside", "outside"),
    [
        ([("introduced", "0"), ("fixed", "2")], ["0.1", "1.9.9"], ["2", "2.1"]),
        ([("introduced", "1.0"), ("last_affected", "1.5")], ["1.0", "1.5"], ["0.9", "1.5.1"]),
        ([("introduced", "1.0")], ["1.0", "99"], ["0.9"]),
        ([("fixed", "1.5"), ("introduced", "2"), ("introduced", "1"), ("fixed", "2.5")], ["1.2", "2.1"], ["1.7", "2.5"]),
        ([("introduced", "1.0rc1"), ("fixed", "1.0")], ["1.0rc2"], ["1.0", "1.0b1"]),
        ([("introduced", "0"), ("fixed", "1.0"), ("introduced", "1.0"), ("fixed", "2.0")], ["0.5", "1.0"], ["2.0"]),
        ([("introduced", "0"), ("limit", "1.5")], ["1.4"], ["1.5"]),
        ([("introduced", "0"), ("limit", "*")], ["9"], []),
    ],
)  # fmt: skip
def test_versions_between_events(events, inside, outside):
    ranged = Range("ECOSYSTEM", tuple(events))
    assert [one for one in inside if matching.within("PyPI", one, ranged) is None] == []
    assert [one for one in outside if matching.within("PyPI", one, ranged) is not None] == []


numbered = st.integers(0, 8).map(str)
events = st.lists(
    st.tuples(st.sampled_from(["introduced", "fixed", "last_affected"]), numbered), min_size=1, max_size=6
)


@given(events, numbered)
@example([("introduced", "0"), ("fixed", "0")], "0")
def test_intervals_say_what_the_events_say_one_after_another(events, version):
    """The schema's own evaluation: go through the events in order, each switches the state."""
    rank = {"fixed": 0, "introduced": 1, "last_affected": 2}
    affected = False
    # introduced at "0" is before every version, also before one that is called 0
    placed = [(-1 if (event, at) == ("introduced", "0") else int(at), event) for event, at in events]
    for at, event in sorted(placed, key=lambda one: (one[0], rank[one[1]])):
        if event == "introduced" and int(version) >= at:
            affected = True
        elif (event == "fixed" and int(version) >= at) or (event == "last_affected" and int(version) > at):
            affected = False
    assert (matching.within("npm", version, Range("SEMVER", tuple(events))) is not None) == affected


def test_why_it_matched_and_what_mends_it(tmp_path):
    outcome = found(tmp_path, component("1.2", path="r.txt", line=3), record())
    [match] = outcome.matches
    assert match.whys[0].words == "1.2 lies in [1.0, 1.5) by the order of PyPI"
    assert (match.fixed_in, match.component.line) == (("1.5",), 3)


def test_a_listed_version_counts_also_outside_of_ranges(tmp_path):
    one = record(ranges=[[("introduced", "3"), ("fixed", "4")]], versions=["1.2.0"])
    [match] = found(tmp_path, component("1.2"), one).matches
    assert (match.whys[0].words, match.fixed_in) == ("1.2 is listed", ("4",))


def test_names_compare_as_the_ecosystem_says(tmp_path):
    assert found(tmp_path, component(name="My_Demo.x"), record(name="my-demo-x")).matches
    (tmp_path / "a").mkdir()
    assert found(
        tmp_path / "a", component(name="JSONStream", kind="npm"), record(ecosystem="npm", name="JSONStream")
    ).matches
    (tmp_path / "b").mkdir()
    assert not found(
        tmp_path / "b", component(name="Demo", kind="cargo"), record(ecosystem="crates.io")
    ).matches


def test_aliases_in_any_direction_are_one_vulnerability(tmp_path):
    records = [
        record("PYSEC-1", aliases=["CVE-2024-1"]),
        record("GHSA-1", aliases=["CVE-2024-1"], ranges=[[("introduced", "0"), ("fixed", "1.6")]]),
        record("X-1", aliases=["GHSA-1"], ranges=[[("introduced", "5")]]),
        record("PYSEC-2"),
    ]
    first, second = found(tmp_path, component("1.2"), *records).matches
    assert first.names == ("CVE-2024-1", "GHSA-1", "PYSEC-1", "X-1")
    assert [why.advisory.id for why in first.whys] == ["GHSA-1", "PYSEC-1"]
    assert first.fixed_in == ("1.5", "1.6")
    assert second.names == ("PYSEC-2",)


def test_withdrawn_advisories_do_not_count(tmp_path):
    outcome = found(
        tmp_path, component(), record("A", top={"withdrawn": "2024-01-01T00:00:00Z"}), record("B", name="x")
    )
    assert (outcome.matches, outcome.looked) == ([], 1)


def test_of_the_same_id_the_newest_counts(tmp_path):
    newer = record(ranges=[[("introduced", "9")]], top={"modified": "2025-01-01T00:00:00Z"})
    assert not found(tmp_path, component(), newer, record()).matches


def test_what_is_not_covered_is_counted_never_clean(tmp_path):
    parts = [component(kind="npm"), component(kind="npm", name="b"), component(kind="deb", name="openssl"),
             component(kind="oci"), component("", name="loose"), component("1.2")]  # fmt: skip
    with database(tmp_path / "osv.db", record()) as known:
        outcome = matching.match(parts, known)
    assert outcome.uncovered == {"npm": 2, "deb": 1}
    assert [one.name for one in outcome.unversioned] == ["loose"]
    assert (outcome.looked, len(outcome.matches)) == (1, 1)


@pytest.mark.parametrize(
    ("version", "one", "reason"),
    [
        ("1.2", record(kind="GIT"), "told by commits only"),
        ("1.2", record(ranges=[]), "told without versions"),
        ("not-a-version", record(), "'not-a-version' is no version of PyPI"),
        ("1.2", record(ranges=[[("introduced", "2019-09-12")]]), "'2019-09-12' is no version of PyPI"),
    ],
)
def test_what_cannot_be_decided_is_told(tmp_path, version, one, reason):
    outcome = found(tmp_path, component(version), one)
    assert (outcome.matches, [said[1:] for said in outcome.undecided]) == ([], [("T-1", reason)])


def test_commits_beside_versions_do_not_matter(tmp_path):
    one = record()
    one["affected"][0]["ranges"].insert(
        0, {"type": "GIT", "events": [{"introduced": "0"}, {"fixed": "abcdef"}]}
    )
    outcome = found(tmp_path, component("1.7"), one)
    assert (outcome.matches, outcome.undecided) == ([], [])


def test_an_upper_end_that_github_tells_beside_the_range(tmp_path):
    one = record(ranges=[[("introduced", "0")]], specific={"last_known_affected_version_range": "<= 1.1"})
    assert not found(tmp_path, component("1.2"), one).matches


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"id": ""}, "it has no id"),
        ({"modified": "yesterday"}, "modified is no time"),
        ({"affected": [{"package": {"name": "x"}}]}, "affected 1 has no ecosystem or name"),
        (
            {"affected": [{"package": {"ecosystem": "npm", "name": "x"}, "ranges": [{"type": "ODD"}]}]},
            "of type 'ODD'",
        ),
        (
            {"affected": [{"package": {"ecosystem": "npm", "name": "x"}, "ranges": [{"type": "SEMVER"}]}]},
            "no events",
        ),
    ],
)
def test_a_broken_record_is_refused_whole(change, words):
    with pytest.raises(RecordError, match=words):
        advisories.read(record() | change)


def test_what_an_advisory_says_of_severity_and_weakness():
    one = advisories.read(
        record(top={
            "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
            "database_specific": {"severity": "CRITICAL", "cwe_ids": ["CWE-79", "CWE-x"]},
            "references": [{"type": "EVIDENCE", "url": "https://e"}, {"type": "ADVISORY", "url": "https://a"}],
        })
    )  # fmt: skip
    assert (len(one.vectors), one.label, one.cwes, one.exploit, one.url) == (
        1,
        "critical",
        (79,),
        True,
        "https://a",
    )


def test_what_is_no_database_is_refused(tmp_path):
    (tmp_path / "x.db").write_bytes(b"no database at all")
    with pytest.raises(IntegrityError, match="no database"):
        advisories_db.Advisories(tmp_path / "x.db")


@pytest.mark.parametrize(
    ("purl", "expected"),
    [
        ("pkg:pypi/Django@4.2", ("PyPI", "django", "4.2")),
        ("pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1", ("Maven", "org.apache.logging.log4j:log4j-core", "2.14.1")),
        ("pkg:golang/golang.org/x/text@v0.3.0", ("Go", "golang.org/x/text", "v0.3.0")),
        ("pkg:npm/%40babel/core@7.0.0", ("npm", "@babel/core", "7.0.0")),
        ("pkg:deb/debian/libssl3@3.0.11-1?distro=debian-12&upstream=openssl", ("Debian:12", "openssl", "3.0.11-1")),
        ("pkg:deb/ubuntu/bash@5.1?distro=ubuntu-22.04", ("Ubuntu:22.04", "bash", "5.1")),
        ("pkg:apk/alpine/musl@1.2.3-r4?distro=3.17.1", ("Alpine:v3.17", "musl", "1.2.3-r4")),
        ("pkg:rpm/almalinux/bash@5.1-6.el9?distro=almalinux-9.2&epoch=1", ("AlmaLinux:9", "bash", "1:5.1-6.el9")),
        ("pkg:composer/Symfony/Http-Kernel@v5.0", ("Packagist", "symfony/http-kernel", "v5.0")),
    ],
)  # fmt: skip
def test_package_urls_as_advisories_know_them(purl, expected):
    assert package(purl) == Package(*expected)


@pytest.mark.parametrize(
    "purl", ["pkg:oci/x@sha256:00", "pkg:generic/x@1", "pkg:deb/kali/x@1", "nonsense", ""]
)
def test_package_urls_that_advisories_do_not_know(purl):
    assert package(purl) is None


@pytest.fixture(scope="module")
def pypa():
    path = DATA / "pypa-advisories" / "pypa-advisories.tar.zst"
    if not path.is_file():
        pytest.skip(f"pypa-advisories are not in {DATA}")
    with zstandard.open(path) as stream, tarfile.open(fileobj=io.BytesIO(stream.read())) as tar:
        names = [one for one in tar if one.isfile() and one.name.endswith(".yaml")][::4]
        return [
            advisories.read(yaml.parse(tar.extractfile(one).read().decode(), one.name), one.name)
            for one in names
        ]


def test_ranges_of_real_advisories_agree_with_the_versions_that_they_list(pypa):
    """A quarter of PyPA's advisories list versions beside ranges: both must say the same of every version."""
    listed = defaultdict(set)
    for one in pypa:
        for affected in one.affected:
            listed[affected.name] |= set(affected.versions)
    missed, beyond, judged = 0, 0, 0
    for one in pypa:
        for affected in one.affected:
            ranges = [ranged for ranged in affected.ranges if ranged.kind == "ECOSYSTEM"]
            if not ranges or not affected.versions:
                continue
            said = {versions.key("PyPI", v) for v in affected.versions if sensible(v)}
            for version in filter(sensible, listed[affected.name]):
                inside = any(inside_of(version, ranged) for ranged in ranges)
                judged += 1
                missed += versions.key("PyPI", version) in said and not inside
                beyond += inside and versions.key("PyPI", version) not in said
    assert judged > 20_000
    assert missed / judged < 0.001
    assert beyond / judged < 0.01


def sensible(version):
    try:
        versions.key("PyPI", version)
    except ValueError:
        return False
    return True


def inside_of(version, ranged):
    try:
        return matching.within("PyPI", version, ranged) is not None
    except ValueError:
        return False
