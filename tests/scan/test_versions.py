"""Versions in the order of their ecosystem, as its own documents list them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemnis.scan import versions

ORDERS = {
    "npm": "1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0",
    "Go": "v0.0.0-20190101000000-abcdefabcdef v0.0.0-20200101000000-abcdefabcdef v0.1.0 v1.0.0-pre v1.0.0",
    "PyPI": "1.0.dev1 1.0a1 1.0rc1 1.0 1.0.post1 1.1 1.10 1!0.1",
    "Maven": "1.0-alpha-1 1.0-alpha-2 1.0-beta-1 1.0-M1 1.0-RC1 1.0-SNAPSHOT 1.0 1.0-sp 1.0.1 2.0.0.Alpha1 2.0.0.Final",
    "Debian": "1.0~rc1-1 1.0-1 1.0-1+deb12u1 1.0-2 1:0.9-1",
    "Red Hat": "0:1.0~rc1-1.el8 0:1.0-1.el8 0:1.0-2.el8 1:0.1-1",
    "Alpine": "1.2.3_rc1-r0 1.2.3-r0 1.2.3-r1 1.2.3_p1-r0 1.2.3a-r0 1.2.4_git20200101-r0 1.10-r0",
    "RubyGems": "1.0.a 1.0.b1 1.0.rc1 1.0 1.0.1 1.10",
    "Packagist": "1.0.0-dev 1.0.0-alpha1 v1.0.0-beta2 1.0.0-RC1 1.0.0 1.0.0-p1 1.0.1 1.10.0",
    "NuGet": "1.0.0-Alpha 1.0.0-beta 1.0.0 1.0.0.1 1.0.1",
    "Hackage": "0.9 0.9.1 0.10 1.0.0.0",
    "crates.io": "0.9.9 0.10.0-rc.1 0.10.0",
}
SAME = {
    "npm": ("1.0.0", "v1.0.0+build.5"), "PyPI": ("1.0", "1.0.0"), "Maven": ("1.0", "1.0.0.Final"),
    "NuGet": ("1.0", "1.0.0.0"), "Packagist": ("1.0", "v1.0.0"), "Go": ("2.0.0", "v2.0.0+incompatible"),
}  # fmt: skip


@pytest.mark.parametrize(("ecosystem", "listed"), ORDERS.items())
def test_versions_stand_in_the_order_of_their_ecosystem(ecosystem, listed):
    keys = [versions.key(ecosystem, one) for one in listed.split()]
    assert all(lower < higher and not higher < lower for lower, higher in pairwise(keys))


@pytest.mark.parametrize(("ecosystem", "pair"), SAME.items())
def test_versions_that_are_the_same(ecosystem, pair):
    assert versions.key(ecosystem, pair[0]) == versions.key(ecosystem, pair[1])


@pytest.mark.parametrize(
    ("ecosystem", "version"),
    [("npm", "latest"), ("PyPI", "2004d"), ("Debian", "a b"), ("RubyGems", "1..0"), ("Packagist", "dev-main"),
     ("Alpine", "unknown"), ("npm", ""), ("Maven", "9" * 300), ("npm", "1." + "9" * 40)],
)  # fmt: skip
def test_what_has_no_place_is_said(ecosystem, version):
    with pytest.raises(ValueError, match="version"):
        versions.key(ecosystem, version)


def test_an_ecosystem_without_an_order():
    assert versions.ordered("Debian:12")
    assert not versions.ordered("OSS-Fuzz")
    with pytest.raises(ValueError, match="OSS-Fuzz have no order"):
        versions.key("OSS-Fuzz", "1.0")


names = st.from_regex(
    r"(0|[1-9][0-9]{0,3}|[a-z-]{1,4})(\.(0|[1-9][0-9]{0,3}|[a-z-]{1,4})){0,2}", fullmatch=True
)
numbers = st.tuples(*[st.integers(0, 30)] * 3).map(lambda three: ".".join(map(str, three)))
semantic = st.builds(lambda number, name: f"{number}-{name}" if name else number, numbers, st.none() | names)


@given(semantic, semantic)
def test_semantic_versions_compare_as_another_library_says(one, other):
    semver = pytest.importorskip("semver")
    said = semver.Version.parse(one).compare(other)
    keys = versions.key("npm", one), versions.key("npm", other)
    assert (keys[0] > keys[1]) - (keys[0] < keys[1]) == said
