r"""What an event is about: the users, hosts, addresses, processes … that alerts can share.

An entity is worth having only if sharing it means something. Left out, with the reason:

- loopback, unspecified, link-local and multicast addresses: every machine has them;
- the server's own address in what servers log (HTTP, logins, API calls), and resolvers: all clients share it;
- root, SYSTEM, anonymous and their like: an account that every machine has says nothing of who acted;
- programs as files, and hashes of files in the system's own folders: ``cmd.exe`` runs everywhere;
- the first process (pid 0, 1; Windows' System, 4): everything descends from it;
- the instance metadata address counts as link-local; the principal that used what it gave does not.

A process is its uid if the sensor gives one, else ``host/pid``; a user is ``domain\name`` where there is a
domain. Values that are compared without regard to case (hosts, users, domains, hashes) are in small letters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.network import read_address

Event = Mapping[str, Any]
_NAMES = re.compile(
    r"^(root|system|local service|network service|anonymous( logon|_principal)?|nobody|unknown|n/a|none|-"
    r"|\(null\)|dwm-\d+|umfd-\d+|(nt authority|autorite nt|nt-autorität|font driver host|window manager)\\.*"
    r"|system:(?!serviceaccount:).*)$",
    re.IGNORECASE,
)
_UIDS = frozenset({"0", "s-1-0-0", "s-1-5-18", "s-1-5-19", "s-1-5-20", "s-1-5-7", "4294967295", "-1"})
_HOSTS = re.compile(r"^(localhost(\..*)?|-|unknown|\(none\))$", re.IGNORECASE)
_SYSTEM_FOLDERS = re.compile(
    r"^([a-z]:\\(windows|program files( \(x86\))?|programdata\\microsoft)\\|\\systemroot\\"
    r"|(/usr(/local)?)?/(s?bin|lib(64|exec|32)?)/)",
    re.IGNORECASE,
)
_FIRST_PROCESSES = frozenset({0, 1, 4})
_HASH_ORDER = (3, 4, 2, 1)  # SHA-256, SHA-512, SHA-1, MD5
_FILE, _NETWORK, _HTTP, _DNS, _API = 1001, 4001, 4002, 4003, 6003
_INBOUND, _OUTBOUND = 1, 2
_FINDINGS = 2
_WORKLOADS = frozenset(
    {"pods", "deployments", "daemonsets", "statefulsets", "replicasets", "jobs", "cronjobs"}
)


def entities(class_uid: int, event: Event) -> tuple[Entity, ...]:
    """Return what an OCSF event is about, without repeats, sorted."""
    if class_uid // 1000 == _FINDINGS:
        return ()
    return tuple(sorted(set(_found(class_uid, event)), key=_order))


def _order(entity: Entity) -> tuple[str, str]:
    """Return what entities are sorted by: comparing them as they are is slow."""
    return entity.kind, entity.value


def _found(class_uid: int, event: Event) -> Iterator[Entity]:
    host = _text(_at(event, "device", "hostname")).lower()
    if host and not _HOSTS.match(host):
        yield Entity(EntityKind.HOST, host)
    yield from _container(_at(event, "device", "container"))
    actor = _at(event, "actor")
    yield from _process(_at(event, "process"), host)
    yield from _process(_at(actor, "process"), host)
    if class_uid == _API:
        yield from _caller(_at(actor, "user"))
        yield from _workloads(event)
    else:
        yield from _user(_at(actor, "user"))
    yield from _user(event.get("user"))
    if class_uid == _FILE:
        file = _at(event, "file")
        if path := _text(_at(file, "path")):
            yield Entity(EntityKind.FILE, path)
        yield from _hashes(file)
    yield from _hashes(_at(event, "module", "file"))
    yield from _hashes(_at(event, "driver", "file"))
    yield from _peers(class_uid, event)


def _at(value: Any, *names: str) -> Any:
    for name in names:
        if type(value) is not dict and not isinstance(value, Mapping):  # asking for a Mapping is slow
            return None
        value = value.get(name)
    return value


def _text(value: Any) -> str:
    return str(value).strip() if value is not None else ""


def _user(user: Any) -> Iterator[Entity]:
    if not user:
        return
    name, domain = _text(_at(user, "name")), _text(_at(user, "domain"))
    uid = _text(_at(user, "uid"))
    full = f"{domain}\\{name}" if domain and "\\" not in name and "@" not in name else name
    if _nobody(name, full, uid):
        return
    if name:
        yield Entity(EntityKind.USER, full.lower())
    elif uid:
        yield Entity(EntityKind.USER, uid.lower())


def _nobody(name: str, full: str, uid: str) -> bool:
    return bool(_NAMES.match(name) or _NAMES.match(full)) or uid.lower() in _UIDS


def _caller(user: Any) -> Iterator[Entity]:
    """Whoever calls an API: the principal, and the credential that was used."""
    name, uid = _text(_at(user, "name")), _text(_at(user, "uid"))
    if not _nobody(name, name, uid) and (uid or name):
        yield Entity(EntityKind.PRINCIPAL, uid or name)
    if credential := _text(_at(user, "credential_uid")):
        yield Entity(EntityKind.CREDENTIAL, credential)


def _workloads(event: Event) -> Iterator[Entity]:
    for resource in event.get("resources") or ():
        kind, name = _text(_at(resource, "type")), _text(_at(resource, "name"))
        if kind.lower() in _WORKLOADS and name:
            space = _text(_at(resource, "namespace"))
            yield Entity(EntityKind.WORKLOAD, f"{space}/{name}" if space else name)


def _process(process: Any, host: str) -> Iterator[Entity]:
    """A process, its parent, who runs it, what it runs in, and its program's hash if it says something."""
    if not process:
        return
    seen = process
    for _ in range(2):
        if isinstance(seen, Mapping):
            pid = seen.get("pid")
            if uid := _text(seen.get("uid")):
                yield Entity(EntityKind.PROCESS, uid.lower())
            elif pid is not None and pid not in _FIRST_PROCESSES:
                yield Entity(EntityKind.PROCESS, f"{host}/{pid}")
            yield from _user(seen.get("user"))
            yield from _container(seen.get("container"))
        seen = _at(seen, "parent_process")
    yield from _hashes(_at(process, "file"))


def _container(container: Any) -> Iterator[Entity]:
    if not container:
        return
    if uid := _text(_at(container, "uid")):
        yield Entity(EntityKind.CONTAINER, uid)
    if image := _text(_at(container, "image", "uid")):
        yield Entity(EntityKind.IMAGE, image)


def _hashes(file: Any) -> Iterator[Entity]:
    if not file or not file.get("hashes"):
        return
    path = _text(_at(file, "path"))
    if _SYSTEM_FOLDERS.match(path):
        return
    by_kind = {_at(one, "algorithm_id"): _text(_at(one, "value")) for one in _at(file, "hashes") or ()}
    best = next((by_kind[kind] for kind in _HASH_ORDER if by_kind.get(kind)), "")
    if best and best.strip("0"):
        yield Entity(EntityKind.HASH, best.lower())


def _peers(class_uid: int, event: Event) -> Iterator[Entity]:
    """The far ends of what happened on the network."""
    source, target = _at(event, "src_endpoint"), _at(event, "dst_endpoint")
    direction = _at(event, "connection_info", "direction_id")
    if class_uid == _DNS:
        yield from _domain(_at(event, "query", "hostname"))
        for answer in event.get("answers") or ():
            yield from _address(_at(answer, "rdata"))
    elif class_uid == _NETWORK:
        if direction != _OUTBOUND:
            yield from _address(_at(source, "ip"))
        if direction != _INBOUND:
            yield from _address(_at(target, "ip"))
            yield from _domain(_at(target, "hostname"))
    else:
        yield from _address(_at(source, "ip"))


def _address(value: Any) -> Iterator[Entity]:
    if text := _peer(_text(value)):
        yield Entity(EntityKind.ADDRESS, text)


@lru_cache(maxsize=65_536)
def _peer(text: str) -> str:
    found = read_address(text)
    if found is None:
        return ""
    nothing = found.is_loopback or found.is_unspecified or found.is_link_local or found.is_multicast
    return "" if nothing else str(found)


def _domain(value: Any) -> Iterator[Entity]:
    name = _text(value).rstrip(".").lower()
    if "." in name and not _HOSTS.match(name) and not _peer(name) and not name.endswith((".arpa", ".local")):
        yield Entity(EntityKind.DOMAIN, name)


__all__ = ["entities"]
