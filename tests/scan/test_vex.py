"""VEX of three kinds: what is said of what, and to which components it applies."""

import orjson
import pytest

from lemnis.contracts.errors import RecordError
from lemnis.scan import vex
from lemnis.scan.vex_statements import Statement, Status, applying, covers

OPENVEX = {
    "@context": "https://openvex.dev/ns/v0.2.0", "timestamp": "2024-01-01T00:00:00Z",
    "statements": [
        {
            "vulnerability": {"name": "CVE-2024-1", "aliases": ["GHSA-1"]}, "status": "not_affected",
            "products": [{"@id": "pkg:oci/app", "subcomponents": [{"@id": "pkg:pypi/demo@1.2"}]}],
            "justification": "vulnerable_code_not_in_execute_path", "impact_statement": "we never call it",
        },
        {"vulnerability": "CVE-2024-2", "products": ["pkg:pypi/demo"], "status": "under_investigation"},
        {"vulnerability": {"name": "CVE-2024-3"}, "products": [], "status": "not_affected"},
        {"vulnerability": {"name": "CVE-2024-4"}, "status": "fine"},
        {"status": "fixed"},
    ],
}  # fmt: skip


def test_openvex_and_what_of_it_cannot_be_taken():
    said, errors = vex.read(orjson.dumps(OPENVEX), "v.json")
    assert said[0] == Statement(
        ("CVE-2024-1", "GHSA-1"), ("pkg:oci/app",), Status.NOT_AFFECTED, "vulnerable_code_not_in_execute_path",
        "we never call it", "2024-01-01T00:00:00Z", ("pkg:pypi/demo@1.2",), "v.json",
    )  # fmt: skip
    assert said[1].status is Status.UNDER_INVESTIGATION
    assert [str(one) for one in errors] == [
        "v.json#3: CVE-2024-3: not_affected without a justification or an impact statement",
        "v.json#4: 'fine' is no status",
        "v.json#5: a statement without a vulnerability",
    ]


CSAF = {
    "document": {"category": "csaf_vex", "tracking": {"current_release_date": "2024-02-02T00:00:00Z"}},
    "product_tree": {
        "branches": [
            {
                "category": "vendor",
                "branches": [
                    {"product": {
                        "product_id": "P1", "name": "demo",
                        "product_identification_helper": {"purl": "pkg:pypi/demo@1.2"},
                    }},
                ],
            },
        ],
        "relationships": [{"product_reference": "P1", "full_product_name": {"product_id": "OS:P1", "name": "x"}}],
    },
    "vulnerabilities": [
        {
            "cve": "CVE-2024-1", "product_status": {"known_not_affected": ["OS:P1"], "fixed": ["P9"]},
            "flags": [{"label": "component_not_present", "product_ids": ["OS:P1"]}],
            "threats": [{"category": "impact", "details": "not built in", "product_ids": ["OS:P1"]}],
        }
    ],
}  # fmt: skip


def test_csaf_by_its_product_tree():
    said, errors = vex.read(orjson.dumps(CSAF), "c.json")
    assert errors == ()
    assert [(one.status, one.products) for one in said] == [
        (Status.NOT_AFFECTED, ("pkg:pypi/demo@1.2", "OS:P1")), (Status.FIXED, ("P9",)),
    ]  # fmt: skip
    assert str(said[0]) == "not_affected: component_not_present: not built in"


@pytest.mark.parametrize("data", [b"{}", b"[]", b'{"statements": 3}', b"x"])
def test_what_is_no_vex_is_refused(data):
    with pytest.raises(RecordError):
        vex.read(data, "x.json")


@pytest.mark.parametrize(
    ("pattern", "purl", "expected"),
    [
        ("pkg:pypi/demo", "pkg:pypi/demo@1.2", True),
        ("pkg:pypi/demo@1.2", "pkg:pypi/demo@1.2", True),
        ("pkg:pypi/demo@1.3", "pkg:pypi/demo@1.2", False),
        ("pkg:pypi/other", "pkg:pypi/demo@1.2", False),
        ("pkg:deb/debian/a@1?arch=amd64", "pkg:deb/debian/a@1?arch=arm64", False),
        ("pkg:deb/debian/a", "pkg:deb/debian/a@1?arch=arm64", True),
        ("demo", "pkg:pypi/demo@1.2", False),
    ],
)
def test_a_package_url_names_packages(pattern, purl, expected):
    assert covers(pattern, purl) is expected


def test_the_newest_statement_about_a_component_holds():
    old = Statement(("CVE-2024-1",), ("pkg:pypi/demo",), Status.NOT_AFFECTED, time="2024-01-01")
    new = Statement(("cve-2024-1",), ("pkg:pypi/demo",), Status.AFFECTED, time="2024-02-01")
    other = Statement(("CVE-2024-1",), ("pkg:pypi/else",), Status.FIXED, time="2024-03-01")
    assert applying([old, new, other], ["CVE-2024-1"], purl="pkg:pypi/demo@1") is new
    assert applying([old], ["CVE-2024-9"], purl="pkg:pypi/demo@1") is None


def test_a_statement_about_the_whole_or_about_a_part_of_it():
    whole = Statement(("CVE-2024-1",), ("pkg:oci/app",), Status.NOT_AFFECTED)
    part = Statement(("CVE-2024-1",), ("pkg:oci/app",), Status.NOT_AFFECTED, parts=("pkg:pypi/demo",))
    ask = {"ids": ["CVE-2024-1"], "subject": ["pkg:oci/app"]}
    assert applying([whole], purl="pkg:pypi/any@1", **ask) is whole
    assert applying([part], purl="pkg:pypi/any@1", **ask) is None
    assert applying([part], purl="pkg:pypi/demo@1", **ask) is part
    assert applying([whole], ["CVE-2024-1"], purl="pkg:pypi/any@1") is None
