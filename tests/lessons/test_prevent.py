from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lemnis.app import checks, policies
from lemnis.content import yaml
from lemnis.content.library import Library
from lemnis.content.schemas.policy import Policy
from lemnis.contracts.alerts import Severity
from lemnis.contracts.findings import Finding, Kind, Suppression, Vulnerability
from lemnis.lessons import gate
from lemnis.lessons.gate import Scope
from lemnis.lessons.prevent import KINDS, draw
from lemnis.lessons.prevent.base import Action, Base, Flow, Grant, Right, Setting, Traced, Unproven
from lemnis.lessons.prevent.pattern import call_pattern
from lemnis.lessons.prevent.write import write
from lemnis.policy.decide import Policy as PolicyRego
from lemnis.policy.decide import decide
from lemnis.policy.document import finding_document
from lemnis.policy.testing import run_tests

NAME = "lesson_2026_123456"


def finding(rule, kind, path, **more):
    return Finding("fp-" + rule, "tool", rule, "a title", Severity.HIGH, path, 3, 3, kind=kind, **more)


LOG4J = finding(
    "CVE-2021-44228", Kind.DEPENDENCY, "pom.xml",
    vulnerability=Vulnerability(
        ("CVE-2021-44228", "GHSA-jfh8-c2jp-5v3q"),
        "pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1", ("2.17.1",),
    ),
)  # fmt: skip
SHELL = finding("B602", Kind.CODE, "shop/x.py", cwes=(78,))
KEY = finding("aws", Kind.SECRET, "shop/settings.py", cwes=(798,))
BUCKET = finding("aws_s3_public", Kind.CONFIG, "infra/main.tf")
PUBLIC = Setting("terraform.aws_s3_bucket_acl", "data", ("acl",), "public-read", "private")
DIGEST = "sha256:" + "a" * 64

CAUSES = {
    "package": (Traced(findings=(LOG4J,)), "vulnerable package", "pull_request"),
    "package in an image": (
        Traced(findings=(replace(LOG4J, path="", resource=DIGEST),)), "vulnerable package", "release",
    ),
    "secret": (Traced(findings=(KEY,)), "secret", "commit"),
    "code": (Traced(findings=(SHELL,), path="shop/x.py", line=3), "code pattern", "editor"),
    "code without a weakness": (Traced(findings=(replace(SHELL, cwes=()),)), "code pattern", "editor"),
    "a new pattern": (
        Traced(path="shop/x.py", line=9, text="    out = subprocess.run(command, shell=True)"),
        "code pattern", "editor",
    ),
    "configuration by its rule": (Traced(findings=(BUCKET,)), "configuration", "editor"),
    "configuration": (Traced(setting=PUBLIC, path="infra/main.tf", line=2), "configuration", "editor"),
    "a value that is not set": (
        Traced(setting=Setting("terraform.aws_db_instance", "db", ("storage_encrypted",), None, True)),
        "configuration", "editor",
    ),
    "a value that must not be there": (
        Traced(setting=replace(PUBLIC, good=None)), "configuration", "editor",
    ),
    "a value in a list": (
        Traced(setting=Setting(
            "kubernetes.pod", "web", ("spec", "volumes", 0, "hostPath", "path"), "/var/run/docker.sock", "/data")),
        "configuration", "editor",
    ),
    "an action": (
        Traced(path=".github/workflows/ci.yml", line=7, text="      - uses: acme/changed-files@v45"),
        "workflow", "editor",
    ),
    "an action at a tag that led to a bad commit": (
        Traced(action=Action("Acme/changed-files", "v4", "b" * 40)), "workflow", "editor",
    ),
    "an action at a bad commit": (Traced(action=Action("acme/changed-files", "b" * 40)), "workflow", "editor"),
    "a right": (Traced(path=".github/workflows/ci.yml", text="  contents: write # push"), "workflow", "editor"),
    "a right that was traced": (Traced(right=Right("id-token")), "workflow", "editor"),
    "a workflow by its rule": (
        Traced(findings=(finding("github_action_unpinned", Kind.CONFIG, ".github/workflows/ci.yml"),)),
        "workflow", "editor",
    ),
    "a permission": (Traced(grant=Grant("role/ci", "iam:PassRole")), "cloud permission", "editor"),
    "a permission on one thing": (
        Traced(grant=Grant("role/ci", "s3:GetObject", "arn:aws:s3:::shop/*")), "cloud permission", "editor",
    ),
    "a permission by its rule": (
        Traced(findings=(finding("iam_escalation", Kind.CONFIG, "infra/iam.tf"),)), "cloud permission", "editor",
    ),
    "a flow into a cloud": (
        Traced(flow=Flow("cloud", "ingress", "0.0.0.0/0", 8443)), "network flow", "editor",
    ),
    "a flow out of a cluster": (
        Traced(flow=Flow("cluster", "egress", "169.254.169.254/32", 80)), "network flow", "editor",
    ),
    "a base image": (Traced(base=Base("acme/python", DIGEST)), "base image", "editor"),
    "a base image by tag": (Traced(base=Base("python")), "base image", "editor"),
    "an attestation": (
        Traced(unproven=Unproven("shop", DIGEST, "provenance", "missing")), "missing attestation", "deploy",
    ),
}  # fmt: skip


def only(traced):
    [drawn] = draw(traced, NAME).drawn
    return drawn


def written(folder, traced, scope=None):
    drawn = draw(traced, NAME).drawn[0]
    for path, data in write(
        drawn, scope or next(iter(drawn.scopes), None), NAME, "2026-123456", "in-1"
    ).items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return drawn, Library.open(folder / "content")


@pytest.mark.parametrize("cause", CAUSES)
def test_each_cause_is_recognised_and_its_gate_holds_by_its_own_tests(cause, tmp_path):
    traced, kind, earliest = CAUSES[cause]
    prevention = draw(traced, NAME)
    drawn = prevention.drawn[0]
    assert (drawn.kind, drawn.earliest) == (kind, earliest)
    assert all((drawn.because, drawn.says, drawn.fix))
    assert set(prevention.missing) == set(KINDS) - {kind}
    for number, scope in enumerate(drawn.scopes or (None,)):
        folder = tmp_path / str(number)
        _, library = written(folder, traced, scope)
        assert yaml.load(library.get("policies", NAME).manifest, Policy).stages == drawn.stages
        cases = list(policies.run_tests_of(library, [NAME]))
        assert len(cases) >= 3
        assert [(case.name, case.trouble) for case in cases if not case.passed] == []
        if drawn.check:
            assert [one.why for one in checks.try_all(library, [NAME])] == [()]
        if scope is not None:
            assert scope.covers(drawn.example)
            assert not scope.covers(
                replace(drawn.example, rule_id="x", cwes=(), vulnerability=None, kind=Kind.IMAGE)
            )


def refused(folder, traced, document, scope=None):
    drawn, library = written(folder, traced, scope)
    rules = [one for one in policies.load(library) if one.name == NAME]
    stage = drawn.stages[-1]
    return [
        reason.where
        for reason in decide(rules, {**document, "stage": stage}, stage, (), 0, content_digest="d").reasons
    ]


def new(*findings):
    return {"findings": [finding_document(one, new=True) for one in findings]}


def test_a_fixed_or_answered_or_other_package_passes(tmp_path):
    other = replace(LOG4J.vulnerability, purl="pkg:maven/org.example/log4j-core@2.14.1")
    answered = replace(LOG4J, suppression=Suppression("external", "vulnerable_code_not_present"))
    scopes = only(Traced(findings=(LOG4J,))).scopes
    seen = new(LOG4J, answered, replace(LOG4J, path="b.xml", vulnerability=other))
    narrow = refused(tmp_path / "n", Traced(findings=(LOG4J,)), seen, scopes[1])
    assert narrow == ["pom.xml:3"]
    assert sorted(refused(tmp_path / "w", Traced(findings=(LOG4J,)), seen, scopes[0])) == [
        "b.xml:3",
        "pom.xml:3",
    ]
    qualified = replace(
        LOG4J.vulnerability, purl=LOG4J.vulnerability.purl.replace("@2.14.1", "@2.0?type=jar")
    )
    assert scopes[1].covers(replace(LOG4J, vulnerability=qualified))


def test_nothing_is_invented_where_nothing_is_known():
    prevention = draw(Traced(), NAME)
    assert prevention.drawn == ()
    assert set(prevention.missing) == set(KINDS)
    assert all(len(why.split()) > 4 for why in prevention.missing.values())


@pytest.mark.parametrize(
    ("traced", "kind", "says"),
    [
        (Traced(path="shop/x.py", text="x = 1"), "code pattern", "calls nothing"),
        (Traced(path=".github/workflows/ci.yml", text="  mode: write"), "workflow", "no action, right"),
        (Traced(path="a.cobol", text="x.y(1)"), "code pattern", "no language"),
        (Traced(setting=replace(PUBLIC, steps=())), "configuration", "no attribute"),
        (Traced(setting=replace(PUBLIC, value=None, good=None)), "configuration", "nobody said"),
        (Traced(setting=replace(PUBLIC, value="private")), "configuration", "is what it should be"),
        (Traced(flow=Flow("cloud", "egress", "evil.example", 443)), "network flow", "no network"),
        (Traced(flow=Flow("cloud", "sideways", "0.0.0.0/0", 443)), "network flow", "neither ingress"),
        (Traced(flow=Flow("cloud", "egress", "0.0.0.0/0", 0)), "network flow", "not known"),
        (Traced(flow=Flow("moon", "egress", "0.0.0.0/0", 1)), "network flow", "neither a cloud"),
        (Traced(flow=Flow("cluster", "ingress", "0.0.0.0/0", 1)), "network flow", "labels"),
        (Traced(base=Base("python", "sha256:short")), "base image", "no digest"),
        (Traced(grant=Grant("me", "everything")), "cloud permission", "no action"),
        (
            Traced(unproven=Unproven("a", DIGEST, "provenance", "verified")),
            "missing attestation",
            "not what was",
        ),
        (Traced(unproven=Unproven("a", DIGEST, "horoscope", "missing")), "missing attestation", "no kind"),
        (Traced(findings=(replace(LOG4J, vulnerability=None),)), "vulnerable package", "lock file"),
    ],
)
def test_what_is_missing_is_said(traced, kind, says):
    assert says in draw(traced, NAME).missing[kind]


def test_an_incident_with_two_causes_has_two_gates():
    drawn = draw(Traced(findings=(SHELL, LOG4J), path="shop/x.py", line=3), NAME).drawn
    assert [one.kind for one in drawn] == ["vulnerable package", "code pattern"]


def test_a_scope_over_everything_cannot_be_made():
    with pytest.raises(ValueError, match="every finding"):
        Scope("all", folder="shop/")


@pytest.mark.parametrize(
    ("text", "language", "pattern"),
    [
        ("with open(x) as f: yaml.load(f, Loader=None)", "python", "yaml.load(..., Loader=None, ...)"),
        ("if os.system(a):", "python", "os.system(...)"),
        ('requests.get(u, auth="hunter2", verify=False)', "python", "requests.get(..., verify=False, ...)"),
        ("print(x)", "python", ""),
        ("x = (", "python", ""),
        ("  Runtime.exec(cmd);", "java", "Runtime.exec(...)"),
        ("exec(cmd)", "go", ""),
    ],
)
def test_a_pattern_has_the_call_and_no_text_of_the_line(text, language, pattern):
    assert call_pattern(text, language) == pattern


@given(st.text(max_size=40))
def test_no_value_breaks_out_of_the_policy(text):
    assume(text.strip())
    drawn = only(
        Traced(findings=(replace(SHELL, cwes=(), rule_id=text, title=text),), path="shop/x.py", line=3)
    )
    files = write(drawn, drawn.scopes[0], NAME, "2026-123456", "in-1")
    policy = PolicyRego(
        NAME, files[f"content/policies/{NAME}/policy.rego"].decode(), "policy.rego", ("build",)
    )
    cases = run_tests(policy, files[f"content/policies/{NAME}/policy_test.rego"].decode(), "policy_test.rego")
    assert cases
    assert all(case.passed for case in cases)


def cheapest(drawn, *new_in):
    """What the widths of a gate cost in a past in which each commit brings in one finding, the first the cause."""
    commits = {f"{number:040}": (one,) for number, one in enumerate(new_in)}
    costs = [gate.cost(scope, commits, {f"{0:040}"}) for scope in drawn.scopes]
    return gate.choose(costs, f"{0:040}")


def test_the_widest_scope_is_taken_unless_a_narrower_one_stops_fewer():
    [drawn] = [
        one for one in draw(Traced(findings=(LOG4J, SHELL)), NAME).drawn if one.kind == "vulnerable package"
    ]
    assert cheapest(drawn, LOG4J, SHELL).scope.name == "vulnerability in any package"
    neighbour = replace(LOG4J, vulnerability=replace(LOG4J.vulnerability, purl="pkg:maven/x/y@1"))
    cost = cheapest(drawn, LOG4J, neighbour)
    assert cost.scope.packages == ("pkg:maven/org.apache.logging.log4j/log4j-core",)
    assert (len(cost.stopped), cost.wrongly) == (1, ())
