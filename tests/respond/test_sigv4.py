"""AWS's documented examples of Signature Version 4 (the `aws-sig-v4-test-suite`, and the IAM example)."""

import pytest

from lemnis.contracts.clock import from_iso
from lemnis.respond.sigv4 import Keys, sign

KEYS = Keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
AT = from_iso("2015-08-30T12:36:00Z")
FORM = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
VECTORS = {
    "get-vanilla": ({}, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    "post-vanilla": ({"method": "POST"}, "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    "get-vanilla-query-order-key-case": (
        {"query": "Param2=value2&Param1=value1"},
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    "post-x-www-form-urlencoded": (
        {"method": "POST", "body": b"Param1=value1", "headers": {"content-type": "application/x-www-form-urlencoded"}},
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
    "iam-list-users": (
        {"host": "iam.amazonaws.com", "service": "iam", "query": "Action=ListUsers&Version=2010-05-08", "headers": FORM},
        "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", VECTORS)
def test_documented_examples(name):
    more, signature = VECTORS[name]
    given = {"method": "GET", "host": "example.amazonaws.com", "path": "/", "service": "service", **more}
    keys = Keys(KEYS.access, "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    found = sign(keys, region="us-east-1", at=AT, **given)["Authorization"]
    assert found.rpartition("Signature=")[2] == signature


def test_a_session_token_is_signed_and_keys_do_not_show():
    keys = Keys("AKIDEXAMPLE", "s3cret", "t0ken")
    headers = sign(keys, method="GET", host="h", path="/", region="r", service="s", at=AT)
    assert headers["X-Amz-Security-Token"] == "t0ken"
    assert "SignedHeaders=host;x-amz-date;x-amz-security-token" in headers["Authorization"]
    assert "s3cret" not in repr(keys)
    assert "t0ken" not in repr(keys)
