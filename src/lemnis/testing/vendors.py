"""Simulated vendors of actions: what their interfaces document, as tables. See ``lemnis.testing.rest``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from lemnis.testing.rest import TOKEN, Call, Row, Vendor, reply
from lemnis.testing.server import Asked, Reply

_NUMBERED = "{owner}/{repo}/{number}"
_WORKFLOW = "/repos/{owner}/{repo}/actions/workflows/{workflow}"
_WORKFLOW_KEY = "{owner}/{repo}/{workflow}"
_RUN = "/repos/{owner}/{repo}/actions/runs/{run}"
_RUNNER = "/orgs/{org}/actions/runners/{runner}"
_TOKEN_ROW = "/orgs/{org}/personal-access-tokens"  # noqa: S105 - a path
_INSTALLATION = "/app/installations/{installation}"


class Github(Vendor):
    """GitHub's REST API, version 2022-11-28."""

    rows = (
        Row("GET", "/repos/{owner}/{repo}/issues", "list_", "issue", "{owner}/{repo}/",
            filters={"labels": "labels", "state": "state"}),
        Row("POST", "/repos/{owner}/{repo}/issues", "create", "issue", _NUMBERED, 201, needs=("title",)),
        Row("PATCH", "/repos/{owner}/{repo}/issues/{number}", "merge", "issue", _NUMBERED),
        Row("GET", "/repos/{owner}/{repo}/pulls", "list_", "pull", "{owner}/{repo}/",
            filters={"head": "head.label", "base": "base.ref", "state": "state"}),
        Row("POST", "/repos/{owner}/{repo}/pulls", "pull", "pull", _NUMBERED, 201, needs=("head", "base")),
        Row("PATCH", "/repos/{owner}/{repo}/pulls/{number}", "merge", "pull", _NUMBERED),
        Row("GET", "/repos/{owner}/{repo}/rulesets", "list_", "ruleset", "{owner}/{repo}/"),
        Row("POST", "/repos/{owner}/{repo}/rulesets", "create", "ruleset", "{owner}/{repo}/{id}", 201,
            needs=("name", "enforcement")),
        Row("DELETE", "/repos/{owner}/{repo}/rulesets/{id}", "delete", "ruleset", "{owner}/{repo}/{id}", 204),
        Row("GET", "/orgs/{org}/blocks/{user}", "get", "block", "{org}/{user}", 204),
        Row("PUT", "/orgs/{org}/blocks/{user}", "put", "block", "{org}/{user}", 204),
        Row("DELETE", "/orgs/{org}/blocks/{user}", "delete", "block", "{org}/{user}", 204),
        Row("GET", _TOKEN_ROW, "list_", "token", "{org}/", filters={"owner[]": "owner.login"}),
        Row("POST", _TOKEN_ROW + "/{token}", "revoke", "token", "{org}/{token}", 204, needs=("action",)),
        Row("GET", _INSTALLATION, "get", "installation", "{installation}"),
        Row("PUT", _INSTALLATION + "/suspended", "merge", "installation", "{installation}", 204,
            sets={"suspended_at": "2026-01-01T00:00:00Z"}),
        Row("DELETE", _INSTALLATION + "/suspended", "merge", "installation", "{installation}", 204,
            sets={"suspended_at": None}),
        Row("GET", _WORKFLOW, "get", "workflow", _WORKFLOW_KEY),
        Row("PUT", _WORKFLOW + "/disable", "merge", "workflow", _WORKFLOW_KEY, 204,
            sets={"state": "disabled_manually"}),
        Row("PUT", _WORKFLOW + "/enable", "merge", "workflow", _WORKFLOW_KEY, 204, sets={"state": "active"}),
        Row("GET", _RUN, "get", "run", "{owner}/{repo}/{run}"),
        Row("POST", _RUN + "/cancel", "cancel", "run", "{owner}/{repo}/{run}", 202),
        Row("GET", _RUNNER, "get", "runner", "{org}/{runner}"),
        Row("DELETE", _RUNNER, "delete", "runner", "{org}/{runner}", 204),
    )  # fmt: skip

    def failure(self, status: int, text: str) -> Reply:
        """Return an error."""
        where = "https://docs.github.com/rest"
        return reply(status, {"message": text, "documentation_url": where, "status": str(status)})

    def made(self, row: Row, body: dict[str, Any], number: int) -> dict[str, Any]:
        """Give what is made a number and a state; labels are objects."""
        if row.kind not in {"issue", "pull"}:
            return body
        labels = [{"name": label} for label in body.get("labels", ())]
        return {**body, "number": number, "state": "open", "labels": labels}

    def pull(self, row: Row, call: Call, body: Mapping[str, Any]) -> Reply:
        """Open a pull request; there is one at most from a branch to another."""
        owner, head = call.names["owner"], str(body["head"])
        label = head if ":" in head else f"{owner}:{head}"
        ends = {"head": {"label": label, "ref": label.partition(":")[2]}, "base": {"ref": body["base"]}}
        for one in self._objects.get("pull", {}).values():
            if one["state"] == "open" and (one["head"], one["base"]) == (ends["head"], ends["base"]):
                return self.failure(422, f"A pull request already exists for {label}.")
        return self.create(row, call, {**body, **ends})

    def revoke(self, row: Row, call: Call, body: Mapping[str, Any]) -> Reply:
        """Take a fine-grained token its access to the organisation."""
        if body["action"] != "revoke":
            return self.failure(422, "action is not included in the list")
        return self.delete(row, call, {})

    def cancel(self, row: Row, call: Call, body: Mapping[str, Any]) -> Reply:
        """Cancel a workflow's run, if it still runs."""
        del body
        key, one = self.found(row, call)
        if one is None:
            return self.failure(404, "Not Found")
        if one["status"] == "completed":
            return self.failure(409, "Cannot cancel a workflow run that is completed.")
        one |= {"status": "completed", "conclusion": "cancelled"}
        self.changed(f"cancel run {key}")
        return reply(202, {})


class Okta(Vendor):
    """Okta's Core API: users' lifecycle and sessions."""

    credential = f"SSWS {TOKEN}"
    rows = (
        Row("GET", "/api/v1/users/{user}", "get", "user", "{user}"),
        Row("POST", "/api/v1/users/{user}/lifecycle/suspend", "lifecycle", "user", "{user}",
            sets={"from": "ACTIVE", "status": "SUSPENDED"}),
        Row("POST", "/api/v1/users/{user}/lifecycle/unsuspend", "lifecycle", "user", "{user}",
            sets={"from": "SUSPENDED", "status": "ACTIVE"}),
        Row("DELETE", "/api/v1/users/{user}/sessions", "clear", "user", "{user}", 204),
    )  # fmt: skip

    def failure(self, status: int, text: str) -> Reply:
        """Return an error."""
        code = {401: "E0000011", 404: "E0000007", 400: "E0000001"}.get(status, "E0000009")
        return reply(status, {"errorCode": code, "errorSummary": text, "errorLink": code, "errorCauses": []})

    def lifecycle(self, row: Row, call: Call, body: Mapping[str, Any]) -> Reply:
        """Bring a user from one state to another; from any other it is an error."""
        del body
        key, one = self.found(row, call)
        if one is None:
            return self.failure(404, f"Not found: Resource not found: {key} (User)")
        if one["status"] != row.sets["from"]:
            return self.failure(400, f"Cannot do this to a user that is {one['status']}")
        one["status"] = row.sets["status"]
        self.changed(f"{row.path.rpartition('/')[2]} user {key}")
        return reply(200, {})

    def clear(self, row: Row, call: Call, body: Mapping[str, Any]) -> Reply:
        """End all sessions of a user; that there were none is no error."""
        del body
        key, one = self.found(row, call)
        if one is None:
            return self.failure(404, f"Not found: Resource not found: {key} (User)")
        one["cleared"] = one.get("cleared", 0) + 1
        self.changed(f"clear sessions {key}")
        return Reply(204)


class Entra(Vendor):
    """Microsoft Graph v1.0: users of Entra ID."""

    rows = (
        Row("GET", "/v1.0/users/{user}", "get", "user", "{user}"),
        Row("PATCH", "/v1.0/users/{user}", "merge", "user", "{user}", 204),
        Row("POST", "/v1.0/users/{user}/revokeSignInSessions", "revoke", "user", "{user}"),
    )

    def failure(self, status: int, text: str) -> Reply:
        """Return an error."""
        code = {401: "InvalidAuthenticationToken", 404: "Request_ResourceNotFound"}.get(status, "BadRequest")
        return reply(status, {"error": {"code": code, "message": text}})

    def revoke(self, row: Row, call: Call, body: Mapping[str, Any]) -> Reply:
        """Make sign-in sessions invalid that began before now."""
        del body
        key, one = self.found(row, call)
        if one is None:
            return self.failure(404, f"Resource '{key}' does not exist")
        one["signInSessionsValidFromDateTime"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        self.changed(f"revoke sessions {key}")
        return reply(200, {"value": True})


class Service(Vendor):
    """Any service that keeps resources by collection and name, and takes messages with a key once."""

    rows = (
        Row("GET", "/{collection}/{name}", "get", "resource", "{collection}/{name}"),
        Row("PUT", "/{collection}/{name}", "put", "resource", "{collection}/{name}"),
        Row("DELETE", "/{collection}/{name}", "delete", "resource", "{collection}/{name}", 204),
        Row("POST", "/{collection}", "message", "message"),
    )

    def message(self, row: Row, call: Call, body: Mapping[str, Any]) -> Reply:
        """Take a message, once by its key."""
        key = call.asked.headers.get("idempotency-key") or str(self.number())
        if key not in self._objects.setdefault(row.kind, {}):
            self._objects[row.kind][key] = dict(body)
            self.changed(f"post {call.names['collection']}")
        return reply(202, {"taken": True})


class Teams(Vendor):
    """A workflow of Teams that waits for posts at an address which is a secret itself."""

    rows = (Row("POST", "/workflows/hook", "post", "message", needs=("type", "attachments")),)

    def allowed(self, asked: Asked) -> bool:
        """The address is the credential."""
        return "sig=simulated-signature" in asked.query

    def post(self, row: Row, call: Call, body: Mapping[str, Any]) -> Reply:
        """Post a card."""
        del call
        self._objects.setdefault(row.kind, {})[str(self.number())] = dict(body)
        self.changed("post message")
        return Reply(202)


class Webhook(Vendor):
    """A receiver of Standard Webhooks: a message is believed by its signature, and taken once by its id."""

    rows = (Row("POST", "/{place}", "take_in", "message"),)
    key = "whsec_c2ltdWxhdGVkLXNpZ25pbmcta2V5LW9mLTMyLWI="

    def allowed(self, asked: Asked) -> bool:
        """Check the signature."""
        from lemnis.respond.logins import signature  # noqa: PLC0415 - only this vendor signs

        name, at = asked.headers.get("webhook-id", ""), asked.headers.get("webhook-timestamp", "0")
        wanted = signature(self.key, name, int(at), asked.body)["webhook-signature"]
        return wanted in asked.headers.get("webhook-signature", "").split()

    def take_in(self, row: Row, call: Call, body: Mapping[str, Any]) -> Reply:
        """Take a message in."""
        key = call.asked.headers["webhook-id"]
        if key not in self._objects.setdefault(row.kind, {}):
            self._objects[row.kind][key] = dict(body)
            self.changed(f"take in {call.names['place']}")
        return Reply(204)
