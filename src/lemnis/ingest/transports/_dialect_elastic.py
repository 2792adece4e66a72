"""Elasticsearch's bulk interface, as far as shippers need it: they write documents and look at what answers.

An index's name says which source its documents are of. Documents are created, never changed or deleted:
``index`` and ``create`` are taken, ``update`` and ``delete`` refused item by item. Setting up templates and
lifecycles is answered as if they were there, so that shippers which do that first go on.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import pydantic
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lemnis.content.schemas import Model
from lemnis.contracts.receiving import Delivery
from lemnis.ingest.transports._desk import Desk, Endpoint, Match, RefusedError, matched
from lemnis.ingest.transports._dialect_hec import dumped, one_line

_HEADERS = {"X-Elastic-Product": "Elasticsearch"}
_TAKEN = frozenset({"index", "create"})
_TYPES = {
    "no_token": "security_exception", "unreadable_token": "security_exception",
    "unknown_token": "security_exception", "forbidden": "security_exception",
    "body": "parse_exception", "data": "illegal_argument_exception",
    "busy": "es_rejected_execution_exception", "service": "es_rejected_execution_exception",
}  # fmt: skip
_TOO_MANY = 429
_IN_A_THREAD = 1 << 17
_SET_UP = (
    "_index_template", "_template", "_component_template", "_ilm/policy", "_data_stream", "_ingest/pipeline",
)  # fmt: skip
_AVAILABLE = frozenset({"ilm", "data_streams"})
_FEATURES = ("ilm", "security", "monitoring", "watcher", "ml", "graph", "data_streams")


class Elastic(Model):
    """Which source an index is of, the default for others, and the version that is told to shippers."""

    indices: tuple[Match, ...] = ()
    default: str = "auto"
    version: str = pydantic.Field(default="8.17.0", pattern=r"^\d+\.\d+\.\d+$")


@dataclass(frozen=True, slots=True)
class Item:
    """One operation of a bulk: what is to be done, in which index, with which id and document."""

    action: str
    index: str
    id: str
    document: bytes = b""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Cluster:
    """What answers as a cluster of Elasticsearch would."""

    desk: Desk
    settings: Elastic

    async def bulk(self, request: Request) -> Response:
        """Take the documents of a bulk, and answer for each."""
        began = time.monotonic()
        sender = self.desk.sender(request)
        async with self.desk.body(request, sender) as body:
            if not body.strip():
                raise RefusedError("data", "request body is required")
            large = len(body) > _IN_A_THREAD
            index = request.path_params.get("index", "")
            said, lines = await asyncio.to_thread(self.read, body, index) if large else self.read(body, index)
            origin = self.desk.origin_of(request)
            deliveries = [Delivery(name, origin, b"".join(some)) for name, some in lines.items()]
            await self.desk.take(sender, deliveries)
        errors = any("error" in next(iter(one.values())) for one in said)
        return _json({"took": round(1000 * (time.monotonic() - began)), "errors": errors, "items": said})

    def read(self, body: bytes, index: str) -> tuple[list[dict[str, Any]], dict[str, list[bytes]]]:
        """Return what is answered for each item of a bulk, and the records by source."""
        said: list[dict[str, Any]] = []
        lines: dict[str, list[bytes]] = {}
        for number, item in enumerate(items(body, index)):
            match, problem = matched(self.settings.indices, item.index, self.settings.default), item.problem
            if not problem:
                try:
                    line = record(item.document, match.field)
                except ValueError as error:
                    problem = f"failed to parse: {error}"
                else:
                    lines.setdefault(match.source, []).append(line)
            said.append(_item(item, number, problem))
        return said, lines

    async def document(self, request: Request) -> Response:
        """Take one document: ``POST /{index}/_doc``, as some shippers do without bulk."""
        sender = self.desk.sender(request)
        index = request.path_params["index"]
        match = matched(self.settings.indices, index, self.settings.default)
        async with self.desk.body(request, sender) as body:
            try:
                line = record(body, match.field)
            except ValueError as error:
                raise RefusedError("data", f"failed to parse: {error}") from error
            await self.desk.take(sender, [Delivery(match.source, self.desk.origin_of(request), line)])
        item = Item("index", index, request.path_params.get("id", ""))
        return _json(_item(item, 0, "")["index"], 201)

    async def root(self, request: Request) -> Response:
        """Say what this is."""
        self.desk.sender(request)
        return _json(_about(self.settings.version, self._id))

    async def license(self, request: Request) -> Response:
        """Say that there is a basic licence, which shippers ask for before they send."""
        self.desk.sender(request)
        return _json({"license": {"status": "active", "uid": self._id, "type": "basic", "mode": "basic"}})

    async def features(self, request: Request) -> Response:
        """Say which features there are, to shippers that set up lifecycles."""
        self.desk.sender(request)
        told = {name: {"available": name in _AVAILABLE, "enabled": name in _AVAILABLE} for name in _FEATURES}
        return _json({"license": {"type": "basic", "mode": "basic", "status": "active"}, "features": told})

    async def health(self, request: Request) -> Response:
        """Say that it is well."""
        self.desk.sender(request)
        return _json({"cluster_name": "lemnis", "status": "green", "number_of_nodes": 1, "timed_out": False})

    async def there(self, request: Request) -> Response:
        """Answer that a template, a lifecycle or a pipeline is there, or was made."""
        self.desk.sender(request)
        return _json({"acknowledged": True})

    @property
    def _id(self) -> str:
        return hashlib.sha256(self.desk.name.encode()).hexdigest()[:22]


def routes(desk: Desk, settings: Elastic) -> list[Route]:
    """Return the dialect's routes."""
    cluster = Cluster(desk, settings)

    def route(path: str, handler: Endpoint, *methods: str) -> Route:
        return Route(path, desk.endpoint("elastic", refusal, handler), methods=methods)

    return [
        route("/", cluster.root, "GET", "HEAD"),
        route("/_bulk", cluster.bulk, "POST", "PUT"),
        route("/_license", cluster.license, "GET"),
        route("/_xpack", cluster.features, "GET"),
        route("/_cluster/health", cluster.health, "GET"),
        *(route(f"/{path}/{{name:path}}", cluster.there, "GET", "HEAD", "PUT", "POST") for path in _SET_UP),
        route("/{index}/_bulk", cluster.bulk, "POST", "PUT"),
        route("/{index}/{type}/_bulk", cluster.bulk, "POST", "PUT"),
        route("/{index}/_doc", cluster.document, "POST"),
        route("/{index}/_doc/{id}", cluster.document, "POST", "PUT"),
        route("/{index}/_create/{id}", cluster.document, "POST", "PUT"),
    ]


def refusal(refused: RefusedError) -> Response:
    """Say it as Elasticsearch says it; what is to be sent again has the status 429."""
    status = _TOO_MANY if refused.why in {"busy", "service"} and refused.status != 500 else refused.status  # noqa: PLR2004 - a defect
    cause = {"type": _TYPES[refused.why], "reason": str(refused)}
    response = _json({"error": {"root_cause": [cause], **cause}, "status": status}, status)
    response.headers.update(refused.headers)
    if status == 401:  # noqa: PLR2004 - RFC 9110, 15.5.2
        response.headers["WWW-Authenticate"] = 'Basic realm="lemnis"'
    return response


def items(body: bytes, index: str) -> Iterator[Item]:
    """Yield the operations of a bulk; raises RefusedError for a line that is no operation."""
    lines = iter(body.split(b"\n"))
    number = 0
    for line in lines:
        if not line.strip():
            continue
        number += 1
        action, about = _operation(line, number)
        where = str(about.get("_index") or index)
        name = str(about.get("_id") or "")
        if action == "delete":
            yield Item(action, where, name, problem="documents are not deleted here")
            continue
        document = next(lines, b"")
        if action not in _TAKEN:
            yield Item(action, where, name, problem=f"{action} is not done here: documents are only created")
        elif not where:
            yield Item(action, where, name, problem="an index is needed")
        else:
            yield Item(action, where, name, document)


def _operation(line: bytes, number: int) -> tuple[str, dict[str, Any]]:
    try:
        found = orjson.loads(line)
        ((action, about),) = found.items()
    except (orjson.JSONDecodeError, AttributeError, ValueError) as error:
        raise RefusedError(
            "data", f"Malformed action/metadata line [{number}], expected one operation", at=number
        ) from error
    if action not in _TAKEN | {"update", "delete"} or not isinstance(about, dict):
        raise RefusedError("data", f"Malformed action/metadata line [{number}], no operation", at=number)
    return action, about


def record(document: bytes, field: str) -> bytes:
    """Return a document as a source's record: itself, or the text in a member; raises ValueError."""
    found = orjson.loads(document)
    if not isinstance(found, dict):
        raise ValueError("a document has to be an object")  # noqa: TRY004 - of what was sent
    if not field:
        return document.strip() + b"\n" if b"\n" not in document.strip() else dumped(found)
    value: Any = found.get(field)
    if value is None and "." in field:
        value = found
        for part in field.split("."):
            value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, str):
        return one_line(value)
    return dumped(found)


def _item(item: Item, number: int, problem: str) -> dict[str, Any]:
    about: dict[str, Any] = {"_index": item.index, "_id": item.id or str(number)}
    if problem:
        kind = "document_parsing_exception" if problem.startswith("failed") else "illegal_argument_exception"
        return {item.action: {**about, "status": 400, "error": {"type": kind, "reason": problem}}}
    done = {"_version": 1, "result": "created", "_shards": {"total": 1, "successful": 1, "failed": 0},
            "_seq_no": number, "_primary_term": 1, "status": 201}  # fmt: skip
    return {item.action: about | done}


def _about(version: str, cluster: str) -> dict[str, Any]:
    return {
        "name": "lemnis", "cluster_name": "lemnis", "cluster_uuid": cluster,
        "version": {
            "number": version, "build_flavor": "default", "build_type": "tar", "build_hash": "lemnis",
            "build_date": "2025-01-01T00:00:00.000000000Z", "build_snapshot": False,
            "lucene_version": "9.12.0", "minimum_wire_compatibility_version": "7.17.0",
            "minimum_index_compatibility_version": "7.0.0",
        },
        "tagline": "You Know, for Search",
    }  # fmt: skip


def _json(value: object, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, headers=_HEADERS, media_type="application/json")
