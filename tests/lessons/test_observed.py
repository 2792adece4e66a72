import pytest

from lemnis.lessons.prevent import draw
from lemnis.lessons.prevent.base import Flow, Grant, Traced
from lemnis.lessons.prevent.observed import flow, grant


def called(source, name, error=None):
    row = {"eventSource": f"{source}.amazonaws.com", "eventName": name, "errorCode": error}
    return row | {"userIdentity.arn": "arn:aws:sts::111122223333:assumed-role/ci/x"}


@pytest.mark.parametrize(
    ("source", "name", "action"),
    [
        ("iam", "PassRole", "iam:PassRole"),
        ("s3", "ListObjectsV2", "s3:ListBucket"),
        ("lambda", "CreateFunction20150331", "lambda:CreateFunction"),
        ("lambda", "UpdateFunctionCode20150331v2", "lambda:UpdateFunctionCode"),
        ("monitoring", "PutMetricAlarm", "cloudwatch:PutMetricAlarm"),
    ],
)
def test_a_call_used_a_permission(source, name, action):
    found = grant(called(source, name))
    assert found == Grant("arn:aws:sts::111122223333:assumed-role/ci/x", action)
    drawn = draw(Traced(grant=found), "lesson_x").drawn[0]
    assert (drawn.kind, action in drawn.check.body) == ("cloud permission", True)


@pytest.mark.parametrize(
    "row",
    [
        called("iam", "PassRole", "AccessDenied"), called("signin", "ConsoleLogin"), called("sts", "GetCallerIdentity"),
        {"eventName": "PassRole"}, {},
    ],
)  # fmt: skip
def test_what_used_none_gives_none(row):
    assert grant(row) is None


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        ("169.254.169.254", "169.254.169.254/32"), ("151.101.1.69", "0.0.0.0/0"), ("2a02::1", "::/0"),
        ("10.4.4.4", "10.4.4.4/32"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("where", ["cloud", "cluster"])
def test_a_connection_took_a_way(address, peer, where):
    found = flow({"DestinationIp": address, "DestinationPort": "443"}, where)
    assert found == Flow(where, "egress", peer, 443)
    assert draw(Traced(flow=found), "lesson_x").drawn[0].kind == "network flow"


@pytest.mark.parametrize(("address", "port"), [("evil.example", "443"), ("10.0.0.1", "https"), (None, None)])
def test_a_way_that_is_not_known_is_none(address, port):
    assert flow({"DestinationIp": address, "DestinationPort": port}, "cloud") is None
