"""Clients of the API as each role, what a problem looks like, and a rule on who sees what; no test itself."""

import anyio
import guarding

from lemnis.app.access.secret import csrf as csrf_of

API = "/api/v1"
RULE = """\
package lemnis.grave_ones_are_of_soc

import rego.v1

deny contains reason if {
    startswith(input.permission, "incident.")
    input.about.severity in {"high", "critical"}
    not "soc" in input.person.teams
    reason := {"message": "grave incidents are for the team soc"}
}
"""


def asking(built, role="analyst", scopes=(), **how):
    """Return a client with a token of this role; nobody's if there is no role."""
    key = guarding.token(built, role, *scopes) if role else ""
    return guarding.client(built, key=key, base=f"{guarding.BASE}{API}", **how)


def browsing(built, role="analyst"):
    cookie = built.access.cookies[role]
    return guarding.client(
        built, cookie=cookie, base=f"{guarding.BASE}{API}", **{"x-csrf-token": csrf_of(cookie)}
    )


def run(work):
    return anyio.run(work)


def problem(answer, status, word):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"urn:lemnis:problem:{word}"
    assert answer.json()["status"] == status
    return answer.json()
