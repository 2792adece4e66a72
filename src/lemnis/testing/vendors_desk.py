"""Simulated vendors that people are told by and intelligence is shared with; see ``lemnis.testing.rest``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lemnis.testing.rest import TOKEN, Call, Row, Vendor, reply
from lemnis.testing.server import Asked, Reply


class Slack(Vendor):
    """Slack's Web API: nearly every answer is 200, and says in ``ok`` whether it is one."""

    rows = (
        Row("GET", "/api/conversations.history", "history", "message"),
        Row("POST", "/api/chat.postMessage", "post", "message"),
        Row("POST", "/api/chat.delete", "remove", "message"),
    )
    page = 3

    def failure(self, status: int, text: str) -> Reply:
        """Return an error: 200 all the same."""
        known = {401: "invalid_auth", 422: "invalid_arguments", 404: "unknown_method"}
        return reply(200, {"ok": False, "error": known.get(status, text)})

    def history(self, row: Row, call: Call, body: Mapping[str, Any]) -> Reply:
        """List a channel's messages, newest first, a page at a time."""
        del row, body
        channel = call.query.get("channel", "")
        if channel not in self._objects.get("channel", {}):
            return reply(200, {"ok": False, "error": "channel_not_found"})
        found = [one for one in self._objects.get("message", {}).values() if one["channel"] == channel][::-1]
        start = int(call.query.get("cursor") or 0)
        end = start + self.page
        more = {"response_metadata": {"next_cursor": str(end)}} if end < len(found) else {}
        return reply(200, {"ok": True, "messages": found[start:end], "has_more": bool(more), **more})

    def post(self, row: Row, call: Call, body: Mapping[str, Any]) -> Reply:
        """Post a message."""
        del row, call
        channel = str(body.get("channel", ""))
        if channel not in self._objects.get("channel", {}):
            return reply(200, {"ok": False, "error": "channel_not_found"})
        if not body.get("text"):
            return reply(200, {"ok": False, "error": "no_text"})
        stamp = f"1700000000.{self.number():06}"
        self._objects.setdefault("message", {})[f"{channel}/{stamp}"] = {**body, "ts": stamp}
        self.changed(f"post {channel}")
        return reply(200, {"ok": True, "channel": channel, "ts": stamp})

    def remove(self, row: Row, call: Call, body: Mapping[str, Any]) -> Reply:
        """Delete a message."""
        del row, call
        key = f"{body.get('channel')}/{body.get('ts')}"
        if self._objects.get("message", {}).pop(key, None) is None:
            return reply(200, {"ok": False, "error": "message_not_found"})
        self.changed(f"delete message {body.get('channel')}")
        return reply(200, {"ok": True})


class Pagerduty(Vendor):
    """PagerDuty's REST API v2: incidents, notes. A key has one open incident; it needs the header From."""

    credential = f"Token token={TOKEN}"
    rows = (
        Row("GET", "/incidents", "list_", "incident", wrap="incidents",
            filters={"incident_key": "incident_key"}),
        Row("POST", "/incidents", "open", "incident", "{id}", 201, wrap="incident", unwrap="incident",
            needs=("title", "service")),
        Row("GET", "/incidents/{id}", "get", "incident", "{id}", wrap="incident"),
        Row("GET", "/incidents/{incident}/notes", "list_", "note", "{incident}/", wrap="notes"),
        Row("POST", "/incidents/{incident}/notes", "create", "note", "{incident}/{id}", wrap="note",
            unwrap="note", needs=("content",)),
        Row("PUT", "/incidents/{id}", "merge", "incident", "{id}", wrap="incident", unwrap="incident"),
    )  # fmt: skip

    def failure(self, status: int, text: str) -> Reply:
        """Return an error."""
        code = {401: 2006, 404: 2100}.get(status, 2001)
        return reply(status, {"error": {"message": text, "code": code, "errors": [text]}})

    def open(self, row: Row, call: Call, body: Mapping[str, Any]) -> Reply:
        """Open an incident, unless its key has one."""
        if "@" not in call.asked.headers.get("from", ""):
            return self.failure(400, "Requester User Not Found")
        for one in self._objects.get("incident", {}).values():
            if one["incident_key"] == body.get("incident_key") and one["status"] != "resolved":
                return self.failure(400, "Open incident with matching dedup key already exists")
        return self.create(row, call, {**body, "status": "triggered"})

    def made(self, row: Row, body: dict[str, Any], number: int) -> dict[str, Any]:
        """Give it an id as PagerDuty's look."""
        return {**body, "id": f"P{'N' if row.kind == 'note' else 'T'}{number:05}"}


class Jira(Vendor):
    """Jira Cloud's REST API v3. Search sees what was written a moment later."""

    credential = "Basic c29jQGV4YW1wbGUuY29tOnNpbXVsYXRlZA=="
    first = 101
    rows = (
        Row("GET", "/rest/api/3/search/jql", "search", "issue"),
        Row("POST", "/rest/api/3/issue", "create", "issue", "{key}", 201, needs=("fields",)),
        Row("GET", "/rest/api/3/issue/{key}", "get", "issue", "{key}"),
        Row("GET", "/rest/api/3/issue/{key}/comment", "list_", "comment", "{key}/", wrap="comments"),
        Row("POST", "/rest/api/3/issue/{key}/comment", "create", "comment", "{key}/{id}", 201,
            needs=("body",)),
        Row("DELETE", "/rest/api/3/issue/{key}/comment/{id}", "delete", "comment", "{key}/{id}", 204),
        Row("POST", "/rest/api/3/issue/{key}/transitions", "transition", "issue", "{key}", 204,
            needs=("transition",)),
    )  # fmt: skip
    moves: Mapping[str, tuple[str, str]] = {"21": ("To Do", "In Progress"), "31": ("In Progress", "To Do")}

    def failure(self, status: int, text: str) -> Reply:
        """Return an error."""
        return reply(status, {"errorMessages": [text], "errors": {}})

    def search(self, row: Row, call: Call, body: Mapping[str, Any]) -> Reply:
        """Find the issues that have a label: of JQL, only ``labels = x`` is known here."""
        del row, body
        label = call.query.get("jql", "").rpartition("=")[2].strip().strip('"')
        issues = [
            one for one in self._objects.get("issue", {}).values() if label in one["fields"].get("labels", ())
        ]
        return reply(200, {"issues": issues, "isLast": True})

    def made(self, row: Row, body: dict[str, Any], number: int) -> dict[str, Any]:
        """Give an issue its key; numbers of Jira are texts."""
        if row.kind != "issue":
            return {**body, "id": str(number)}
        fields = {"status": {"name": "To Do"}, **body["fields"]}
        return {"id": str(number), "key": f"{fields['project']['key']}-{number}", "fields": fields}

    def transition(self, row: Row, call: Call, body: Mapping[str, Any]) -> Reply:
        """Move an issue to another status, if its workflow lets it."""
        key, one = self.found(row, call)
        if one is None:
            return self.failure(404, "Issue does not exist or you do not have permission to see it.")
        start, end = self.moves.get(str(body["transition"].get("id")), ("", ""))
        if one["fields"]["status"]["name"] != start:
            return self.failure(400, "It seems that you have tried to perform an illegal workflow operation.")
        one["fields"]["status"] = {"name": end}
        self.changed(f"transition issue {key} {end}")
        return Reply(204)


class Servicenow(Vendor):
    """ServiceNow's Table API. An update that does not know its record is 404."""

    credential = "Basic bGVtbmlzOnNpbXVsYXRlZA=="
    rows = (
        Row("GET", "/api/now/table/incident", "query", "incident", wrap="result"),
        Row("POST", "/api/now/table/incident", "create", "incident", "{sys_id}", 201, wrap="result"),
        Row("GET", "/api/now/table/incident/{sys_id}", "get", "incident", "{sys_id}", wrap="result"),
        Row("PATCH", "/api/now/table/incident/{sys_id}", "change", "incident", "{sys_id}", wrap="result"),
        Row("GET", "/api/now/table/sys_journal_field", "query", "journal", wrap="result"),
    )

    def failure(self, status: int, text: str) -> Reply:
        """Return an error."""
        return reply(status, {"error": {"message": text, "detail": ""}, "status": "failure"})

    def made(self, row: Row, body: dict[str, Any], number: int) -> dict[str, Any]:
        """Give it an id and a number."""
        del row
        names = {"sys_id": f"{number:032x}", "number": f"INC{number:07}"}
        return {"state": "1", "active": "true", **body, **names}

    def query(self, row: Row, call: Call, body: Mapping[str, Any]) -> Reply:
        """Answer an encoded query: ``field=value``, ``fieldLIKEvalue``, joined by ``^``."""
        del body
        found = list(self._objects.get(row.kind, {}).values())
        for term in filter(None, call.query.get("sysparm_query", "").split("^")):
            name, like, text = term.partition("LIKE")
            if not like:
                name, _, text = term.partition("=")
            found = [
                one for one in found
                if (text in str(one.get(name, "")) if like else str(one.get(name, "")) == text)
            ]  # fmt: skip
        return self.reply_to(row, found)

    def change(self, row: Row, call: Call, body: Mapping[str, Any]) -> Reply:
        """Change a record; work notes go into its journal, and a state of 7 or 8 makes it inactive."""
        fields = dict(body)
        notes = fields.pop("work_notes", None)
        if "state" in fields:
            fields["active"] = "false" if str(fields["state"]) in {"7", "8"} else "true"
        answer = self.merge(row, call, fields)
        if notes and self._changed:
            key = f"{call.names['sys_id']}/{self.number()}"
            note = {"element_id": call.names["sys_id"], "element": "work_notes", "value": notes}
            self._objects.setdefault("journal", {})[key] = note
        return answer


class Misp(Vendor):
    """MISP's automation API: events by UUID."""

    credential = TOKEN
    rows = (
        Row("GET", "/events/view/{uuid}", "get", "event", "{uuid}", wrap="Event"),
        Row(
            "POST", "/events/add", "create", "event", "{uuid}", wrap="Event", unwrap="Event", needs=("info",)
        ),
        Row("POST", "/events/delete/{uuid}", "delete", "event", "{uuid}"),
    )

    def failure(self, status: int, text: str) -> Reply:
        """Return an error."""
        return reply(status, {"name": text, "message": text, "url": "/events"})

    def made(self, row: Row, body: dict[str, Any], number: int) -> dict[str, Any]:
        """Ids of MISP are texts."""
        del row
        return {**body, "id": str(number)}


class Taxii(Vendor):
    """A TAXII 2.1 server with one API root: objects of collections."""

    credential = "Basic bGVtbmlzOnNpbXVsYXRlZA=="
    rows = (
        Row("GET", "/{root}/collections/{collection}/objects/{object}/", "envelope", "object",
            "{collection}/{object}"),
        Row("POST", "/{root}/collections/{collection}/objects/", "add", "object", needs=("objects",)),
        Row("DELETE", "/{root}/collections/{collection}/objects/{object}/", "delete", "object",
            "{collection}/{object}"),
    )  # fmt: skip
    media = "application/taxii+json;version=2.1"

    def answer(self, asked: Asked) -> Reply:
        """Answer in TAXII's own media type, and only who accepts it."""
        if self.media not in asked.headers.get("accept", "").replace("; ", ";"):
            return self.failure(406, "the media type is not acceptable")
        given = super().answer(asked)
        return Reply(given.status, given.body, self.media, given.headers)

    def failure(self, status: int, text: str) -> Reply:
        """Return an error."""
        return reply(status, {"title": text, "http_status": str(status)})

    def envelope(self, row: Row, call: Call, body: Mapping[str, Any]) -> Reply:
        """Answer with an object in an envelope."""
        del body
        key, one = self.found(row, call)
        return self.failure(404, f"there is no {key}") if one is None else reply(200, {"objects": [one]})

    def add(self, row: Row, call: Call, body: Mapping[str, Any]) -> Reply:
        """Add objects; a version that is there already counts as added."""
        for one in body["objects"]:
            key = f"{call.names['collection']}/{one['id']}"
            if self._objects.setdefault(row.kind, {}).get(key) != one:
                self._objects[row.kind][key] = one
                self.changed(f"add object {key}")
        number = len(body["objects"])
        said = {"id": f"status--{self.number()}", "status": "complete", "total_count": number}
        return reply(202, said | {"success_count": number, "failure_count": 0, "pending_count": 0})
