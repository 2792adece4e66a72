"""A maintainer's session is used from elsewhere, and code is pushed past the review. Traced to the protection kept as code."""

import json

from clusterlogs import iso, written
from everyday import history
from harness import AT, DAY, HOUR, LATER, MINUTE, SECOND, Change, Scenario, line

from lemnis.app import graph_collect
from lemnis.app.graph_collect import Options

PEOPLE = {
    "tomasz": (18, "203.0.113.10", "DE"),
    "priya": (17, "203.0.113.9", "DE"),
    "mia": (21, "203.0.113.77", "FR"),
}
THIEF, OTHER = "198.51.100.90", "192.0.2.201"
GIT, BROWSER = "git/2.43.0", "Mozilla/5.0 (X11; Linux x86_64) Firefox/145.0"


def _repository(name, *, branch="main", admins="true", reviews=1, more=""):
    """Terraform of a repository and its protection as this organisation writes it."""
    return f"""\
resource "github_repository" "{name}" {{
  name                   = "{name}"
  visibility             = "private"
  delete_branch_on_merge = true
}}

resource "github_branch_protection" "{name}_{branch}" {{
  repository_id  = github_repository.{name}.node_id
  pattern        = "{branch}"
  enforce_admins = {admins}
{more}
  required_pull_request_reviews {{
    required_approving_review_count = {reviews}
    dismiss_stale_reviews           = true
  }}
}}
"""


PROTECTED = _repository("shop")
EXEMPT = _repository("shop", admins="false")
RULES = """\
resource "github_repository_ruleset" "tags" {
  name        = "tags"
  repository  = github_repository.stock.name
  target      = "tag"
  enforcement = "active"

  rules {
    deletion = true
  }
}
"""
MEMBERS = """\
resource "github_team" "platform" {
  name    = "platform"
  privacy = "closed"
}

resource "github_team_membership" "mia" {
  team_id  = github_team.platform.id
  username = "mia"
  role     = "member"
}
"""
OWNERS = "* @shop-inc/platform\n/repositories/ @shop-inc/maintainers\n"
NEAR = (
    Change("A repository for stock", {"repositories/stock.tf": _repository("stock")}),
    Change("Two reviews for payments", {"repositories/payments.tf": _repository("payments", reviews=2)}),
    Change("Who is in the team", {"teams/platform.tf": MEMBERS}),
    Change("Tags of stock stay", {"repositories/rules.tf": RULES}),
    Change("Pages may be merged crosswise", {"repositories/pages.tf": _repository("pages", more="  required_linear_history = false\n  allows_force_pushes = false")}),
    Change("Why administrators are bound", {"docs/protection.md": "Never set `enforce_admins = false`: an administrator's session is worth the most.\n"}),
)  # fmt: skip


def prepare(world):
    """The state of the organisation's settings was collected."""
    shop = {"id": "shop", "name": "shop", "full_name": "shop-inc/shop", "node_id": "R_kgDOshop"}
    protection = {
        "id": "BPR_kwDOshop",
        "repository_id": "R_kgDOshop",
        "pattern": "main",
        "enforce_admins": False,
    }

    def resource(kind, name, attributes, depends=()):
        return {
            "mode": "managed", "type": kind, "name": name, "provider": 'provider["registry.example/integrations/github"]',
            "instances": [{"schema_version": 1, "attributes": attributes, "dependencies": list(depends)}],
        }  # fmt: skip

    state = {
        "version": 4, "terraform_version": "1.9.8", "serial": 41, "lineage": "5e55105e-0000-4000-8000-000000000001", "outputs": {},
        "resources": [
            resource("github_repository", "shop", shop),
            resource("github_branch_protection", "shop_main", protection, ["github_repository.shop"]),
        ],
    }  # fmt: skip
    path = world.folder / "state.json"
    path.write_text(json.dumps(state))
    account = graph_collect.collect(
        world.workspace, path, Options(scope="organisation", at=AT - DAY - 3 * HOUR)
    )
    assert not account.problems, account.problems


def did(at, who, action, *, repo="shop", kind="modify", agent=GIT, address="", country="", **more):
    """Somebody did something on GitHub (its audit log, as it is streamed)."""
    number, usual, home = PEOPLE[who]
    return json.dumps(
        {
            "@timestamp": at, "_document_id": f"{at}-{who}-{action}-{repo}", "action": action, "actor": who, "actor_id": number,
            "actor_ip": address or usual, "actor_location": {"country_code": country or home}, "actor_is_bot": False,
            "created_at": at, "operation_type": kind, "org": "shop-inc", "repo": f"shop-inc/{repo}", "user_agent": agent, **more,
        }
    )  # fmt: skip


def signed_on(at, who, address, country, agent=BROWSER):
    """A session of Okta is used to sign on to GitHub (Okta's system log)."""
    return json.dumps(
        {
            "uuid": f"{at}-{who}", "published": iso(at), "eventType": "user.authentication.sso", "version": "0", "severity": "INFO",
            "displayMessage": "User single sign on to app", "legacyEventType": "app.auth.sso",
            "actor": {"id": f"00u{who}", "type": "User", "alternateId": f"{who}@shop.example", "displayName": who.title()},
            "client": {
                "userAgent": {"rawUserAgent": agent, "os": "Linux", "browser": "FIREFOX"}, "ipAddress": address,
                "geographicalContext": {"country": country, "city": "x"}, "device": "Computer", "zone": "null", "id": None,
            },
            "authenticationContext": {"authenticationStep": 0, "externalSessionId": f"102{who}"},
            "outcome": {"result": "SUCCESS", "reason": None}, "securityContext": {"isProxy": False},
            "debugContext": {"debugData": {"requestUri": "/app/githubcloud/sso/saml"}}, "transaction": {"type": "WEB", "id": f"t{at}"},
            "target": [{"id": "0oagithub", "type": "AppInstance", "alternateId": "GitHub", "displayName": "GitHub"}],
        }
    )  # fmt: skip


def _hour(start):
    """What a team does in any hour: pushes to branches, merges what was reviewed, looks at settings."""
    told = []
    for number, who in enumerate(("tomasz", "priya", "mia") * 4):
        at = start + number * 5 * MINUTE
        told.append(did(at, who, "git.push", ref=f"refs/heads/{who}-{number}"))
        told.append(did(at + MINUTE, who, "pull_request.create", kind="create", agent=BROWSER, repo="stock"))
        told.append(did(at + 2 * MINUTE, who, "repo.access", kind="access", agent=BROWSER))
    return told


def ordinary(folder):
    """Three weeks of the team's work."""
    told = []
    for day in range(21, 0, -1):
        for number, who in enumerate(PEOPLE):
            at = AT - day * DAY - (5 - number) * HOUR
            told += [
                did(at, who, "git.push", ref=f"refs/heads/{who}"),
                did(at + HOUR, who, "pull_request.merge", agent=BROWSER),
            ]
    told += _hour(AT - HOUR)
    return written(
        folder, okta=[signed_on(AT - HOUR, "priya", PEOPLE["priya"][1], "Germany")], github_audit=told
    )


def attack(folder):
    """The session of one who may do everything is used from elsewhere: he passes the review, pushes, and takes a secret's place."""
    place = {"address": THIEF, "country": "VN", "agent": "python-requests/2.32.3"}
    main = "refs/heads/main"
    told = [
        did(AT - 5 * MINUTE, "tomasz", "repo.access", kind="access", **place),
        did(AT, "tomasz", "protected_branch.policy_override", branch=main, reasons=[{"code": "review_required", "message": "1 review is required"}], **place),
        did(AT + SECOND, "tomasz", "git.push", ref=main, **place),
        did(AT + 3 * MINUTE, "tomasz", "repo.create_actions_secret", kind="create", **place),
    ]  # fmt: skip
    return written(
        folder,
        okta=[signed_on(AT - 6 * MINUTE, "tomasz", THIEF, "Vietnam", "python-requests/2.32.3")],
        github_audit=told,
    )


def variant(folder):
    """Somebody else's session, from another country, with another program, at another repository, for other ends."""
    place = {"address": OTHER, "country": "BR", "agent": "curl/8.10.1", "repo": "payments"}
    told = [
        did(LATER, "priya", "protected_branch.update_admin_enforced", branch="main", **place),
        did(LATER + MINUTE, "priya", "git.push", ref="refs/heads/main", **place),
    ]
    return written(folder, github_audit=told)


def benign_hour(folder):
    """The same hour a day later."""
    return written(folder, github_audit=_hour(LATER - HOUR))


SCENARIO = Scenario(
    repository="organisation",
    changes=history(
        Change("Begin", {"CODEOWNERS": OWNERS, "versions.tf": 'terraform {\n  required_version = ">= 1.9"\n}\n', "repositories/shop.tf": PROTECTED}),
        Change("Hotfixes need not wait", {"repositories/shop.tf": EXEMPT}, author="Robin New", name="culprit"),
        near=NEAR,
        fix=Change("Administrators wait like everybody", {"repositories/shop.tf": PROTECTED}, name="fix"),
    ),
    cause=f"repositories/shop.tf:{line(EXEMPT, 'enforce_admins')}",
    owner="@shop-inc/maintainers",
    kind="configuration",
    ordinary=ordinary,
    attack=attack,
    variant=variant,
    benign_hour=benign_hour,
    prepare=prepare,
    warns=("new_findings_below_medium",),
)  # fmt: skip
