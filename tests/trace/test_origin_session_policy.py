"""A session of Okta that somebody else used: which rule, kept as code, let it, and when nobody can say."""

import json

import pytest
from cloud import AT, HOUR, OWNERS, Change, broken, cloud, told
from clusterlogs import iso
from clusters import alerted, read

from lemnis.app.origins import session_policy

FILE, RULE = "data/okta.tf", "0pr1staff"
SIGN_ON = """\
resource "okta_policy_rule_signon" "staff" {{
  policy_id = "00p1"
  name      = "staff"
{more}
}}
"""


def record(at, event, *, session="102a", transaction="t1", address="198.51.100.9", targets=()):
    return json.dumps(
        {
            "uuid": f"{at}-{event}-{session}", "published": iso(at), "eventType": event, "version": "0", "severity": "INFO",
            "displayMessage": "x", "legacyEventType": "x", "actor": {"id": "00u1", "type": "User", "alternateId": "noor@shop.example"},
            "client": {"userAgent": {"rawUserAgent": "curl/8"}, "ipAddress": address, "geographicalContext": {"country": "Brazil"}},
            "authenticationContext": {"externalSessionId": session}, "outcome": {"result": "SUCCESS", "reason": None},
            "debugContext": {"debugData": {}}, "transaction": {"type": "WEB", "id": transaction},
            "target": [{"id": number, "type": kind, "displayName": "x"} for kind, number in targets] or None,
        }
    )  # fmt: skip


def evaluated(at=AT - 500, rule=RULE, **more):
    targets = [("PolicyEntity", "00p1"), ("PolicyRule", rule)]
    return record(at, "policy.evaluate_sign_on", targets=targets, **more)


def traced(folder, text, *records, state=True):
    world = cloud(folder, Change("begin", OWNERS), Change("sets", {FILE: text}))
    if state:
        world.collect(("okta_policy_rule_signon", "staff", {"id": RULE, "name": "staff"}, []), at=AT - HOUR)
    read(world, okta=list(records))
    return world, session_policy.chains(alerted(world))


def test_a_session_that_never_ends(tmp_path):
    text = SIGN_ON.format(more="  mfa_required     = true\n  session_lifetime = 0")
    used = record(AT, "user.authentication.sso", transaction="t2")
    world, [chain] = traced(
        tmp_path, text, evaluated(), record(AT - 400, "user.session.start", session="102b"), used
    )
    assert told(chain) == [
        ("defined_by", "infra/okta_policy_rule_signon.staff", "recorded"),
        ("has_line", f"infra:{FILE}:5", "recorded"),
        ("introduced_by", world.commits["infra"]["sets"], "recorded"),
        ("owned_by", "@shop/data", "label"),
    ]
    assert str(chain.begin) == f"policy:okta/{RULE}"
    assert (chain.facts.setting.steps, chain.facts.setting.value, chain.facts.setting.good) == (
        ("session_lifetime",),
        0,
        720,
    )
    assert len(chain.events) == 3


def test_who_logs_in_anew_needed_no_second_factor(tmp_path):
    text = SIGN_ON.format(more="  session_lifetime = 0")
    _, [chain] = traced(tmp_path, text, evaluated(), record(AT, "user.session.start"))
    assert chain.facts.setting.steps == ("mfa_required",)
    [hop] = [hop for hop in chain.hops if hop.edge.relation == "has_line"]
    assert hop.edge.evidence["also"] == ["okta_policy_rule_signon.staff: session_lifetime 0"]


@pytest.mark.parametrize(
    "more",
    ["  mfa_required = true", "  mfa_required = true\n  session_lifetime = 720", "  mfa_required = var.mfa"],
)
def test_a_rule_that_is_right_or_not_known_is_not_blamed(tmp_path, more):
    _, [chain] = traced(tmp_path, SIGN_ON.format(more=more), evaluated(), record(AT, "user.session.start"))
    assert "set in another way" in broken(chain)[1]


@pytest.mark.parametrize(
    ("asked", "state"),
    [
        ((), True),
        ((evaluated(rule="0pr2other"),), True),
        ((evaluated(),), False),
        ((evaluated(session="102x", transaction="tx"),), True),
        ((evaluated(AT - HOUR),), True),
    ],
    ids=["not logged", "another rule", "no state", "another session", "long before"],
)
def test_what_nobody_logged_or_collected_is_not_followed(tmp_path, asked, state):
    _, chains = traced(
        tmp_path, SIGN_ON.format(more=""), *asked, record(AT, "user.session.start"), state=state
    )
    assert chains == []
