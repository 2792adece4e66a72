"""How repositories and organisations on GitHub are set up, read off the answers of its REST API (2022-11-28).

``ask`` gives the answer to a path; what it could not have or may not read is *unknown* in the resource,
never a default: GitHub says 404 both for what is not there and for what a token may not see. Kinds:
``github.repository``, ``github.branch`` (the default one, classic protection and rulesets taken together),
``github.deploy_key``, ``github.collaborator`` (from outside), ``github.webhook``, ``github.environment``,
``github.organization``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlsplit

from lemnis.contracts.findings import Place
from lemnis.contracts.ids import Json
from lemnis.contracts.resources import UNKNOWN, Resource, Steps
from lemnis.scan.readers import Read, listed, mapping, plain
from lemnis.scan.readers.github_branch import Protection

OK, EMPTY, FORBIDDEN, MISSING = 200, 204, 403, 404
PAGE: Final = "per_page=100"
_NOT_BOUGHT: Final = ("Upgrade to ", "Advanced Security must be", "Code Security must be")
"""How GitHub words that a feature is not part of the plan: it is off, and that is known."""


@dataclass(frozen=True, slots=True)
class Said:
    """An answer: HTTP's status, the JSON (pages put together), and ``why`` there is none (status 0)."""

    status: int
    document: Any = None
    why: str = ""

    @property
    def message(self) -> str:
        """What GitHub says of an error."""
        return self.why or str(mapping(self.document).get("message", ""))[:200]

    @property
    def off(self) -> bool:
        """Whether the plan does not have what was asked for."""
        return self.status == FORBIDDEN and self.message.startswith(_NOT_BOUGHT)


Ask = Callable[[str], Said]


@dataclass(slots=True)
class Facts:
    """The data of a resource as it is put together: what is None is unknown."""

    kind: str
    name: str
    data: dict[str, Any] = field(default_factory=dict)
    unknown: list[Steps] = field(default_factory=list)

    def put(self, path: str, value: Any) -> None:
        """Set a value at a dotted path."""
        steps = tuple(path.split("."))
        into = self.data
        for step in steps[:-1]:
            into = into.setdefault(step, {})
        into[steps[-1]] = UNKNOWN if value is None else plain(value)
        if value is None:
            self.unknown.append(steps)

    def resource(self) -> Resource:
        """Return the resource."""
        return Resource(self.kind, self.name, Place(""), self.data, tuple(self.unknown))


@dataclass(slots=True)
class Asking:
    """Asks, and remembers what could not be read."""

    name: str
    ask: Ask
    errors: list[str] = field(default_factory=list)

    def get(self, path: str, *expected: int) -> Said:
        """Return an answer; any but 200, 204 and those ``expected`` is told."""
        said = self.ask(path)
        if said.status not in {OK, EMPTY, *expected} and not said.off:
            status = str(said.status) if said.status else ""
            self.errors.append(f"{self.name}: {path.partition('?')[0]}: {status} {said.message}".rstrip())
        return said

    def object(self, path: str, *expected: int, member: str = "") -> Mapping[str, Any] | None:
        """Return an object, which has this ``member`` if one is named; None for anything else."""
        said = self.get(path, *expected)
        fits = isinstance(said.document, dict) and (not member or member in said.document)
        if said.status == OK and not fits:
            self.errors.append(f"{self.name}: {path}: the answer is not what is asked for")
        return said.document if said.status == OK and fits else None

    def list(self, path: str, *expected: int, member: str = "") -> Sequence[Mapping[str, Any]] | None:
        """Return a list of objects, or that which is a ``member`` of the answer; None for anything else."""
        said = self.get(path, *expected)
        found = mapping(said.document).get(member) if member else said.document
        if said.status == OK and not isinstance(found, list):
            self.errors.append(f"{self.name}: {path.partition('?')[0]}: the answer is no list")
        return [mapping(one) for one in found] if said.status == OK and isinstance(found, list) else None


def repository(name: str, ask: Ask) -> Read:
    """Return a repository (``OWNER/NAME``) and what belongs to it; nothing but an error if it is not seen."""
    path = f"/repos/{name}"
    api = Asking(name, ask)
    about = api.object(path, member="full_name")
    if about is None:
        unseen = Resource("github.repository", name, Place(""), {}, ((),))
        return Read((unseen,), tuple(api.errors))
    facts = Facts("github.repository", name)
    admin = mapping(about.get("permissions")).get("admin") is True
    _settings(facts, about)
    public = facts.data["visibility"] == "public"
    _switches(facts, api, path, admin=admin, public=public)
    _actions(facts, api, path, public=public)
    _files(facts, api, path)
    found = [facts.resource(), *_branch(api, name, path, about)]
    found += _each(api, "github.deploy_key", f"{path}/keys", _deploy_key)
    found += _each(api, "github.webhook", f"{path}/hooks", _webhook)
    found += _each(api, "github.environment", f"{path}/environments", _environment, member="environments")
    if mapping(about.get("owner")).get("type") == "Organization":
        outside = f"{path}/collaborators?affiliation=outside"
        found += _each(api, "github.collaborator", outside, _collaborator)
    return Read(tuple(found), tuple(api.errors))


def organization(name: str, ask: Ask) -> Read:
    """Return an organisation and its webhooks."""
    path = f"/orgs/{name}"
    api = Asking(name, ask)
    about = api.object(path, member="login")
    if about is None:
        return Read((Resource("github.organization", name, Place(""), {}, ((),)),), tuple(api.errors))
    facts = Facts("github.organization", name)
    for fact, field_ in _OF_ORGANIZATION.items():
        facts.put(fact, about.get(field_))
    absent = [field_ for field_ in _OF_ORGANIZATION.values() if about.get(field_) is None]
    if absent:
        api.errors.append(f"{name}: {path}: only an owner's token is told {', '.join(absent)}")
    rights = api.object(f"{path}/actions/permissions/workflow")
    allowed = api.object(f"{path}/actions/permissions")
    enabled = None if allowed is None else allowed.get("enabled_repositories") != "none"
    _put_actions(facts, enabled, allowed, rights)
    hooks = _each(api, "github.webhook", f"{path}/hooks", _webhook)
    return Read((facts.resource(), *hooks), tuple(api.errors))


def repositories(name: str, ask: Ask) -> tuple[list[str], tuple[str, ...]]:
    """Return the full names of an organisation's repositories that are not archived, and what went wrong."""
    api = Asking(name, ask)
    found = api.list(f"/orgs/{name}/repos?{PAGE}") or ()
    return [
        str(one["full_name"]) for one in found if one.get("full_name") and not one.get("archived")
    ], tuple(api.errors)


_OF_ORGANIZATION: Mapping[str, str] = {
    "two_factor": "two_factor_requirement_enabled",
    "default_permission": "default_repository_permission",
    "members_make_public": "members_can_create_public_repositories",
    "members_fork_private": "members_can_fork_private_repositories",
    "signoff": "web_commit_signoff_required",
}


def _settings(facts: Facts, about: Mapping[str, Any]) -> None:
    """Put what the repository itself says; ``security_and_analysis`` is there for administrators only."""
    private = _truth(about, "private")
    seen = None if private is None else "private" if private else "public"
    facts.put("visibility", about.get("visibility") or seen)
    facts.put("archived", about.get("archived") is True)
    facts.put("default_branch", about.get("default_branch"))
    analysis = mapping(about.get("security_and_analysis"))
    for fact, name in (
        ("secret_scanning", "secret_scanning"),
        ("push_protection", "secret_scanning_push_protection"),
    ):
        status = mapping(analysis.get(name)).get("status")
        facts.put(fact, None if status is None else status == "enabled")


def _switches(facts: Facts, api: Asking, path: str, *, admin: bool, public: bool) -> None:
    """Put what has an address of its own, where 404 says no only to who would be told yes."""
    said = api.get(f"{path}/vulnerability-alerts", MISSING)
    off = said.status == MISSING and (admin or "disabled" in said.message)
    facts.put("dependabot_alerts", True if said.status == EMPTY else False if off else None)
    said = api.get(f"{path}/automated-security-fixes", MISSING)
    updates = _truth(mapping(said.document), "enabled") if said.status == OK else None
    facts.put("dependabot_updates", False if admin and said.status == MISSING else updates)
    facts.put("code_scanning", _code_scanning(api, path, admin=admin))
    reporting: bool | None = False
    if public:
        reporting = _truth(api.object(f"{path}/private-vulnerability-reporting"), "enabled")
    facts.put("private_reporting", reporting)


def _truth(said: Mapping[str, Any] | None, name: str) -> bool | None:
    """Return a member that is true or false; None where there is no answer, or none such."""
    value = (said or {}).get(name)
    return value if isinstance(value, bool) else None


def _code_scanning(api: Asking, path: str, *, admin: bool) -> bool | None:
    """Say whether code is scanned: by the default setup, or by whoever sent results."""
    setup = api.get(f"{path}/code-scanning/default-setup", MISSING)
    if setup.status == OK and mapping(setup.document).get("state") == "configured":
        return True
    results = api.get(f"{path}/code-scanning/analyses?per_page=1", MISSING)
    if results.status == OK and listed(results.document):
        return True
    none = (results.status == OK and results.document == []) or "no analysis" in results.message
    off = setup.off or (setup.status == OK and bool(mapping(setup.document).get("state")))
    return False if (off or (setup.status == MISSING and admin)) and (none or results.off) else None


def _actions(facts: Facts, api: Asking, path: str, *, public: bool) -> None:
    """Put what workflows may do; nothing more is asked where they never run."""
    under = f"{path}/actions/permissions"
    allowed = api.object(under)
    enabled = _truth(allowed, "enabled")
    rights = None if enabled is False else api.object(f"{under}/workflow")
    _put_actions(facts, enabled, allowed, rights)
    forks: dict[str, Any] = {"fork_approval": "none", "fork_secrets": False, "fork_writes": False}
    if enabled is not False and public:
        policy = api.object(f"{under}/fork-pr-contributor-approval")
        forks["fork_approval"] = None if policy is None else policy.get("approval_policy")
    elif enabled is not False:
        said = api.object(f"{under}/fork-pr-workflows-private-repos")
        runs = _truth(said, "run_workflows_from_fork_pull_requests")
        for fact, name in (
            ("fork_secrets", "send_secrets_and_variables"),
            ("fork_writes", "send_write_tokens_to_workflows"),
        ):
            forks[fact] = False if runs is False else _truth(said, name)
    for fact, value in forks.items():
        facts.put(f"actions.{fact}", value)


def _put_actions(
    facts: Facts,
    enabled: bool | None,  # noqa: FBT001 - three values
    allowed: Mapping[str, Any] | None,
    rights: Mapping[str, Any] | None,
) -> None:
    """Put the rights of workflows: none where they never run."""
    facts.put("actions.enabled", enabled)
    if enabled is False:
        for fact, value in (("allowed", "none"), ("pinned", True), ("token", "none"), ("approves", False)):
            facts.put(f"actions.{fact}", value)
        return
    facts.put("actions.allowed", None if allowed is None else allowed.get("allowed_actions"))
    facts.put("actions.pinned", _truth(allowed, "sha_pinning_required"))
    facts.put("actions.token", None if rights is None else rights.get("default_workflow_permissions"))
    facts.put("actions.approves", _truth(rights, "can_approve_pull_request_reviews"))


_OWNERS, _POLICY = "CODEOWNERS", "SECURITY"
_FOLDERS = ("", ".github", "docs")
_LISTED = 1000
"""GitHub lists so many entries of a folder and says nothing of the others."""


def _files(facts: Facts, api: Asking, path: str) -> None:
    """Put which files there are in the places where GitHub looks; an organisation's policy counts."""
    names, whole = _names(api, path)
    missing = False if whole else None
    facts.put("codeowners", True if _OWNERS in names else missing)
    policy = True if _has_policy(names) else missing
    if policy is False:
        names, whole = _names(api, f"/repos/{path.split('/')[2]}/.github")
        policy = True if _has_policy(names) else False if whole else None
    facts.put("security_policy", policy)


def _has_policy(names: set[str]) -> bool:
    return any(name.upper().partition(".")[0] == _POLICY for name in names)


def _names(api: Asking, path: str) -> tuple[set[str], bool]:
    """Return the names of files in the folders that count, and whether all of them could be read."""
    found: set[str] = set()
    folders: set[str] = set()
    for folder in _FOLDERS:
        if folder and folder not in folders:
            continue
        said = api.get(f"{path}/contents/{folder}".rstrip("/"), MISSING)
        if said.status == MISSING:  # an empty repository, or none
            continue
        if said.status != OK or not isinstance(said.document, list):
            return found, False
        entries = [mapping(one) for one in said.document]
        found |= {str(one.get("name")) for one in entries if one.get("type") != "dir"}
        folders |= {str(one.get("name")) for one in entries if one.get("type") == "dir"}
        if len(entries) >= _LISTED:
            return found, False
    return found, True


def _branch(api: Asking, name: str, path: str, about: Mapping[str, Any]) -> Iterator[Resource]:
    """Yield the default branch with what protects it; an empty repository has none."""
    branch = str(about.get("default_branch") or "")
    here = api.ask(f"{path}/branches/{quote(branch, safe='')}") if branch else Said(0)
    if not branch or (here.status == MISSING and "Branch not found" in here.message):
        return
    facts = Facts("github.branch", f"{name} branch {branch}")
    said = _protection(api, path, branch, here)
    for fact, value in said.facts().items():
        facts.put(fact, value)
    yield facts.resource()


def _protection(api: Asking, path: str, branch: str, here: Said) -> Protection:
    at = f"{path}/branches/{quote(branch, safe='')}"
    open_ = here.status == OK and mapping(here.document).get("protected") is False
    classic: Mapping[str, Any] | None = {}
    if not open_:
        said = api.get(f"{at}/protection", MISSING)
        if said.status == OK and "enforce_admins" in mapping(said.document):
            classic = mapping(said.document)
        elif not (said.off or "not protected" in said.message):
            classic = None
            if said.status in {OK, MISSING}:
                api.errors.append(f"{api.name}: {at}/protection: {said.status} {said.message}".rstrip())
    said = api.get(f"{path}/rules/branches/{quote(branch, safe='')}?{PAGE}")
    rules: Sequence[Mapping[str, Any]] | None = None
    if said.status == OK and isinstance(said.document, list):
        rules = [mapping(one) for one in said.document]
    elif said.off:
        rules = ()
    numbers = sorted({one["ruleset_id"] for one in rules or () if isinstance(one.get("ruleset_id"), int)})
    sets = {number: api.object(f"{path}/rulesets/{number}") for number in numbers}
    return Protection(classic, rules, sets)


Make = Callable[[str, Mapping[str, Any]], Facts]


def _each(api: Asking, kind: str, path: str, make: Make, *, member: str = "") -> Iterator[Resource]:
    """Yield a resource for each in a list; one that nothing is known of where the list cannot be read."""
    found = api.list(f"{path}{'&' if '?' in path else '?'}{PAGE}", member=member)
    if found is None:
        yield Resource(
            kind, f"{api.name} ({kind.partition('.')[2].replace('_', ' ')}s)", Place(""), {}, ((),)
        )
    for one in found or ():
        facts = make(api.name, one)
        facts.kind = kind
        yield facts.resource()


def _deploy_key(name: str, said: Mapping[str, Any]) -> Facts:
    facts = Facts("", f"{name} deploy key {said.get('id')} {said.get('title') or ''}".rstrip())
    facts.put("read_only", _truth(said, "read_only"))
    return facts


def _webhook(name: str, said: Mapping[str, Any]) -> Facts:
    """Of the address only the server is told: the rest may be a secret."""
    config = mapping(said.get("config"))
    scheme, server = _address(str(config.get("url") or ""))
    facts = Facts("", f"{name} webhook {said.get('id')} {server}".rstrip())
    facts.put("active", _truth(said, "active"))
    facts.put("secret", bool(config.get("secret")) if config else None)
    facts.put("scheme", scheme or None)
    insecure = config.get("insecure_ssl")
    facts.put("insecure_tls", None if insecure is None else str(insecure) == "1")
    return facts


def _address(url: str) -> tuple[str, str]:
    """Return scheme and server; empty for what is no address."""
    try:
        parts = urlsplit(url)
        server = parts.hostname or ""
    except ValueError:
        return "", ""
    return parts.scheme, server


def _environment(name: str, said: Mapping[str, Any]) -> Facts:
    facts = Facts("", f"{name} environment {said.get('name')}")
    rules = said.get("protection_rules")
    kinds: list[Json] | None = None
    if isinstance(rules, list):
        kinds = [str(mapping(rule).get("type")) for rule in rules]
    facts.put("reviewers", None if kinds is None else "required_reviewers" in kinds)
    known = "deployment_branch_policy" in said
    facts.put("branches", ("some" if said["deployment_branch_policy"] else "all") if known else None)
    return facts


def _collaborator(name: str, said: Mapping[str, Any]) -> Facts:
    facts = Facts("", f"{name} collaborator {said.get('login')}")
    facts.put("admin", _truth(mapping(said.get("permissions")), "admin"))
    return facts
