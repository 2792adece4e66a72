import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemnis.contracts.alerts import Severity
from lemnis.contracts.findings import Finding, Kind, Vulnerability
from lemnis.scan.merging import assign, chief, merge


def code(name, line=5, end=0, cwes=(78,), *, tool="", path="a.py", **changes):
    return Finding(
        f"fp-{name}",
        tool or name,
        "r",
        f"t {name}",
        Severity.HIGH,
        path,
        line,
        end or line,
        tuple(cwes),
        **changes,
    )


def package(name, *ids, purl="pkg:pypi/a@1", **changes):
    known = Vulnerability(ids, purl)
    return Finding(
        f"fp-{name}", name, ids[0], "t", Severity.HIGH, "req.txt", 1, 1, kind=Kind.DEPENDENCY,
        vulnerability=known, **changes,
    )  # fmt: skip


def grouped(*findings, **more):
    groups, _ = merge(findings, **more)
    return sorted(sorted(findings[place].fingerprint[3:] for place in group) for group in groups)


@pytest.mark.parametrize(
    ("findings", "groups"),
    [
        ([code("a"), code("b", cwes=[77])], [["a", "b"]]),
        ([code("a", 5, 9), code("b", 8), code("c", 9, 12)], [["a", "b", "c"]]),
        ([code("a"), code("b", 6)], [["a"], ["b"]]),
        ([code("a"), code("b", cwes=[89])], [["a"], ["b"]]),
        ([code("a"), code("b", path="b.py")], [["a"], ["b"]]),
        ([code("a", cwes=[]), code("b", cwes=[])], [["a"], ["b"]]),
        ([code("a", 1, 500), code("b", 7)], [["a"], ["b"]]),
        (
            [code("a", cwes=[], kind=Kind.SECRET), code("b", kind=Kind.SECRET), code("c")],
            [["a", "b"], ["c"]],
        ),
        ([package("a", "CVE-1"), package("b", "GHSA-1", "CVE-1")], [["a", "b"]]),
        ([package("a", "CVE-1"), package("b", "GHSA-1"), package("c", "GHSA-1", "CVE-1")], [["a", "b", "c"]]),
        ([package("a", "CVE-1"), package("b", "CVE-1", purl="pkg:pypi/b@1")], [["a"], ["b"]]),
        ([package("a", "CVE-1"), package("b", "CVE-1", purl="pkg:pypi/A@1?x=y")], [["a", "b"]]),
        ([package("a", "CVE-1"), package("b", "CVE-2")], [["a"], ["b"]]),
    ],
)
def test_what_is_one_is_put_together_and_nothing_else(findings, groups):
    assert grouped(*findings) == groups


def test_the_reason_is_told_and_the_gravest_tells():
    one, other = code("a"), code("b", cwes=[88])
    assert merge([one, other])[1][0].because == "command injection at a.py:5"
    assert chief([one, other, code("d", fix="do")]).fix == "do"


def test_what_a_person_parted_stays_apart_whatever_ties_them():
    parted = {("fp-a", "fp-b")}
    assert grouped(code("a"), code("b"), apart=parted) == [["a"], ["b"]]
    assert grouped(code("a"), code("b"), code("c"), apart=parted) in (
        [["a", "c"], ["b"]],
        [["a"], ["b", "c"]],
    )


def test_a_problem_keeps_its_id_when_a_tool_comes_or_goes():
    first = assign("r", [code("m")], {})
    known = {name: told[0] for name, told in first.items()}
    more = assign("r", [code("a"), code("m")], known)
    assert more["fp-a"][0] == more["fp-m"][0] == first["fp-m"][0]
    joined = assign("r", [code("a"), code("z", path="z.py")], {}, together={("fp-a", "fp-z")})
    assert joined["fp-a"][0] == joined["fp-z"][0]
    split = assign("r", [code("a"), code("m")], {"fp-a": "fd-1", "fp-m": "fd-1"}, apart={("fp-a", "fp-m")})
    assert split["fp-a"][0] != split["fp-m"][0]
    assert "fd-1" in {split["fp-a"][0], split["fp-m"][0]}


FINDINGS = st.lists(
    st.builds(
        lambda n, line, span, cwe, path, ids: (
            package(str(n), *ids, purl=f"pkg:pypi/{path}@1") if ids
            else code(str(n), line, line + span, [cwe] if cwe else [], path=path)
        ),
        st.integers(0, 10**6), st.integers(0, 9), st.integers(0, 3), st.sampled_from([0, 77, 78, 89]),
        st.sampled_from("ab"), st.lists(st.sampled_from(["CVE-1", "CVE-2", "GHSA-1"]), max_size=2, unique=True),
    ),
    max_size=12, unique_by=lambda one: one.fingerprint,
)  # fmt: skip


@given(FINDINGS, st.randoms(use_true_random=False))
def test_the_order_of_findings_makes_no_difference_and_each_is_in_one_group(findings, random):
    groups = grouped(*findings)
    assert sorted(name for group in groups for name in group) == sorted(f.fingerprint[3:] for f in findings)
    shuffled = list(findings)
    random.shuffle(shuffled)
    assert grouped(*shuffled) == groups
