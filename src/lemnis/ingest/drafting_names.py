"""What names of raw fields usually mean: which OCSF path a value belongs at, tried in this order.

A name is compared in its plain form: its words in small letters, joined by ``_`` (``sourceIPAddress`` and
``source.ip-address`` are both ``source_ip_address``). A pattern must fit the end of it, from a word's start.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
LONGEST = 200
_LAST = 5
_ADDRESS = frozenset({"ip", "endpoint"})
_NUMBER = frozenset({"integer"})
_PATH = frozenset({"path"})
_NAME = frozenset({"word", "hostname", "email", "text", "path", "uuid", "integer", "hash", "mac", "method"})
_ANY = _NAME | {"url", "number", "boolean", "ip", "endpoint"}
_SOURCE = "(?:src|source|client|remote|peer|origin|caller|from|c|id_orig|orig|sender|requester|user)"
_TARGET = "(?:dst|dest|destination|server|target|to|s|id_resp|resp|local|upstream|receiver)"
_THING = "resource|target|object|entity|bucket|project|repo(?:sitory)?"
_IP = "(?:ip|ip_?addr(?:ess)?|addr(?:ess)?|ipv4|ipv6|h)"


@dataclass(frozen=True, slots=True)
class Concept:
    """A meaning: the names it goes by, the kinds of values it has, where it belongs, and how it is read.

    Of ``paths`` the first that the class has is taken; ``extra`` are keys of the mapping line.
    """

    paths: tuple[str, ...]
    names: re.Pattern[str]
    kinds: frozenset[str]
    extra: Mapping[str, Any]
    personal: bool
    note: str


def _one(
    paths: str,
    names: str,
    kinds: frozenset[str] = _ANY,
    extra: Mapping[str, Any] = MappingProxyType({}),
    *,
    personal: bool = False,
    note: str = "",
) -> Concept:
    return Concept(tuple(paths.split()), _ending(names), kinds, extra, personal, note)


def _ending(names: str) -> re.Pattern[str]:
    """Return what one or several last words of a plain name must be; alternatives are parted by spaces."""
    return re.compile("|".join(names.split()))


def _address(paths: str, names: str) -> Concept:
    return _one(paths, names, _ADDRESS, {"as": "ip", "lenient": True})


def _count(paths: str, names: str, note: str = "") -> Concept:
    return _one(paths, names, _NUMBER, {"as": "integer", "lenient": True}, note=note)


_WHO = (
    _one("user.email_addr actor.user.email_addr", "e_?mail mail email_?addr(?:ess)? upn user_principal_name",
         frozenset({"email"}), personal=True),
    _one("user.full_name actor.user.full_name", "full_?name display_?name real_?name", _NAME, personal=True),
    _one("actor.session.uid", "session_?(?:id|uid|token_id)?"),
    _one("user.uid actor.user.uid",
         "(?:user|actor|account|principal|subject|owner)_?(?:id|uid|sid|guid|arn) sid auid"),
    _one("user.type actor.user.type", "(?:user|actor|principal|identity|account)_type", _NAME),
    _one("user.domain actor.user.domain", "(?:user|account|login|nt)_?domain", _NAME),
    _one("user.name actor.user.name", """user user_?name login login_?name account account_?name principal
         acct principal_name alternate_id uname actor subject identity who owner author
         (?:actor|subject|identity|owner|author)_name""", _NAME, personal=True),
)  # fmt: skip
_WHERE = (
    _one("src_endpoint.location.country", "country country_?(?:code|name)", _NAME),
    _one("src_endpoint.location.city", "city city_name", _NAME, personal=True),
    _address("dst_endpoint.ip", f"{_TARGET}_?{_IP} {_TARGET}_endpoint daddr"),
    _address("device.ip", f"(?:host|device|agent|node|computer|machine|sensor|observer)_?{_IP}"),
    _address("src_endpoint.ip", f"{_SOURCE}_?{_IP} {_SOURCE} {_SOURCE}_endpoint x_forwarded_for saddr {_IP}"),
    _count("dst_endpoint.port", f"{_TARGET}_?(?:port|p) dport dpt"),
    _count("src_endpoint.port", f"{_SOURCE}_?(?:port|p) sport spt port"),
    _one("dst_endpoint.mac", f"{_TARGET}_?mac(?:_?addr(?:ess)?)?", frozenset({"mac"})),
    _one("src_endpoint.mac device.mac", "mac(?:_?addr(?:ess)?)?", frozenset({"mac"})),
    _one("src_endpoint.hostname", f"{_SOURCE}_?(?:host|host_?name|name)", _NAME),
    _one("dst_endpoint.hostname", f"(?:{_TARGET}|http|virtual|v)_?(?:host|host_?name|name)", _NAME),
)
_WEB = (
    _one("http_request.http_method", "method verb", frozenset({"method"})),
    _count("http_response.code", "status status_?code response_?code code response sc_status"),
    _one("http_request.url.query_string", "query query_?string args uri_query", _NAME | {"url"}),
    _one("http_request.url.path", "path uri request_?uri request_?path uri_stem url endpoint route", _PATH),
    _one("http_request.url.url_string url.url_string", "url uri request_?url full_?url href link site",
         frozenset({"url", "path", "hostname", "word", "text"})),
    _one("http_request.user_agent", "user_?agent agent ua user_agent_original raw_user_agent"),
    _one("http_request.referrer", "referr?er"),
    _one("http_request.version", "server_protocol http_version protocol_version", _NAME),
    _count("traffic.bytes_in", """bytes_?(?:in|received|recv|rcvd) (?:in|received|rcvd|recv|resp|dst)_?bytes?
           request_?(?:size|length)"""),
    _count("traffic.bytes_out", "bytes_?(?:out|sent) (?:out|sent|src|orig)_?bytes?"),
    _count("traffic.packets", "packets pkts packet_count"),
    _count("traffic.bytes http_response.length",
           "bytes size length content_length response_?(?:size|length)"),
)  # fmt: skip
_NETWORK = (
    _one("query.hostname", "query query_?name qname q_name question question_name domain fqdn rrname",
         frozenset({"hostname", "word"})),
    _one("query.type", "q_?type(?:_name)? query_?type question_type rrtype record_type", _NAME),
    _one("rcode", "r_?code(?:_name)? response_code", _NAME),
    _one("tls.sni", "sni server_?name", frozenset({"hostname", "word"})),
    _one("tls.ja3_hash.value", "ja3(?:_hash)?", frozenset({"hash"})),
    _one("connection_info.direction", "direction", _NAME),
    _one("connection_info.protocol_name", "proto protocol transport", _NAME),
    _one("connection_info.community_uid", "community_?id"),
    _one("disposition", "disposition verdict firewall_action fw_action", _NAME),
)  # fmt: skip
_PARENT = "process.parent_process.{0} actor.process.parent_process.{0}"
_RAN = (
    _count(_PARENT.format("pid"), "ppid parent_?(?:pid|process_?id)"),
    _one(_PARENT.format("cmd_line"), "parent_?(?:cmd_?line|command_?line|process_command_line)"),
    _one(_PARENT.format("name"), "parent_?(?:image|name|process|process_?name|exe) pcomm"),
    _count("process.pid actor.process.pid", "pid process_?(?:pid|id)"),
    _one("process.cmd_line actor.process.cmd_line",
         "cmd cmd_?line command_?line proctitle process_args command"),
    _one("process.working_directory actor.process.working_directory",
         "cwd working_?dir(?:ectory)? current_directory"),
    _one("process.file.path actor.process.file.path",
         "exe executable image image_?path process_?(?:path|image|executable|exe) binary", _PATH),
    _one("process.name actor.process.name",
         "process process_?name proc(?:_name)? comm exe image program", _NAME),
    _one("process.integrity", "integrity_?level", _NAME),
    _count("exit_code", "exit_?code return_?code exit_?status"),
    _one("file.hashes process.file.hashes",
         "hash(?:es)? file_hash sha_?(?:1|256|512) md_?5", frozenset({"hash"}),
         {"as": "hashes", "lenient": True}),
    _count("file.size", "size"),
    _one("file.path", "file file_?path target_?(?:file|file_?name|path) object_?name path filename full_path",
         frozenset({"path", "word", "text", "hostname"})),
)  # fmt: skip
_CALLED = (
    _one("api.service.name service.name",
         "service service_?name event_source app application app_?name app_display_name", _NAME),
    _one("api.request.uid http_request.uid", "(?:request|req|correlation|call)_?(?:id|uid|uuid)"),
    _one("api.response.message status_detail", """error_?message error_?msg failure_?reason reason error
         status_?(?:message|reason|detail)"""),
    _one("api.response.error status_code", "error_?code err_?code error_?type"),
    _one("api.operation", """operation operation_?name action event_?name event_?type api_?(?:call|method)
         method_?name activity event""", _NAME),
    _one("resources[0].uid", f"(?:{_THING})_?(?:id|uid|arn)"),
    _one("resources[0].type", "(?:resource|target|object|entity)_?(?:type|kind)", _NAME),
    _one("resources[0].name", f"(?:{_THING})(?:_?name)?"),
    _one("is_mfa", "mfa is_mfa mfa_used mfa_?authenticated two_factor", frozenset({"boolean"})),
    _one("auth_protocol", """auth_?(?:protocol|method|type|mechanism)
         authentication_?(?:protocol|method|type|package) credential_type""", _NAME),
    _one("logon_type", "log_?[io]n_?type", _NAME),
    _one("finding_info.uid", "(?:alert|finding|detection|signature|rule|sid)_?(?:id|uid|uuid)"),
    _one("finding_info.title",
         "(?:alert|finding|detection|signature|rule|threat)(?:_?(?:name|title))? title"),
    _one("finding_info.desc", "description desc details summary"),
)  # fmt: skip
_WRITTEN = (
    _one("cloud.account.uid", "account_?id subscription_?id project_?id"),
    _one("cloud.region", "region", _NAME),
    _one("cloud.provider", "cloud_?provider", _NAME),
    _one("metadata.tenant_uid", "(?:tenant|org|organi[sz]ation|customer)_?(?:id|uid)?"),
    _one("device.container.uid", "container_?id"),
    _one("device.container.name", "container(?:_?name)?", _NAME),
    _one("device.container.image.name", "(?:container_?)?image(?:_?name)?", _NAME),
    _one("device.os.name", "os os_?name platform operating_system", _NAME),
    _one("device.hostname dst_endpoint.hostname", """host host_?name computer computer_?name
         machine(?:_?name)?
         device(?:_?name)? node(?:_?name)? agent_?(?:host_?)?name server instance dvc sensor observer_name""",
         _NAME | {"ip"}),
    _one("metadata.correlation_uid",
         "(?:trace|correlation|transaction|flow|connection|conn|span)_?(?:id|uid) uid"),
    _count("metadata.sequence", "sequence seq seq_?(?:no|num|number) sequence_?number record_?number"),
    _one("metadata.log_level", "log_?level level severity_?text", _NAME),
    _one("metadata.event_code", """event_?(?:type|code|name|id|action) event action type record_?type kind
         category msg_?id message_?id operation""", _NAME),
    _one("metadata.log_provider",
         "logger logger_?name provider facility component module channel subsystem", _NAME),
    _one("metadata.log_format", "log_?format schema format", _NAME),
    _count("duration", "(?:duration|elapsed|took|latency|response_?time|request_?time|time_taken)(?:_ms)?",
           "the standard wants milliseconds: check the unit"),
    _one("message", """message msg text log description summary short_?message details display_message line
         body"""),
)  # fmt: skip
CONCEPTS: tuple[Concept, ...] = (*_WHO, *_WHERE, *_WEB, *_NETWORK, *_RAN, *_CALLED, *_WRITTEN)
TIMES = (
    "event_time", "timestamp", "time", "ts", "published", "event_timestamp", "activity_time", "date_time",
    "datetime", "created_at", "created", "creation_time", "occurred_at", "occurred", "when", "start_time",
    "start", "date", "log_time", "time_generated", "received_time", "ingest_time",
)  # fmt: skip
"""Names of times, the likeliest to be the event's own first."""
SEVERITY = _ending("severity log_?level level priority criticality risk risk_?level severity_?text sev lvl")
OUTCOME = _ending("outcome result status success decision response res verdict disposition action")
IDENTITY = _ending("(?:event|record|log|message|alert|audit|insert|entry|activity)_?(?:id|uid|uuid|guid)")
OWN_ID = re.compile(r"(?:id|uid|uuid|guid)")
RECORD_TYPE = _ending("event_?(?:type|name|category|kind|action) event type action kind category operation")


def plain(name: str) -> str:
    """Return a field's name as small words joined by ``_``; of a long one, its end."""
    return "_".join(_WORD.findall(name[-LONGEST:])).lower()


@lru_cache(maxsize=8192)
def ends(words: str, pattern: re.Pattern[str]) -> bool:
    """Say whether a plain name, or its end from the start of a word on, fits a pattern."""
    parts = words.split("_")
    return any(pattern.fullmatch("_".join(parts[-size:])) for size in range(1, min(len(parts), _LAST) + 1))


def meanings(name: str, kind: str) -> list[Concept]:
    """Return what a field may mean by its name and the kind of its values, the likeliest first."""
    words = plain(name)
    return [one for one in CONCEPTS if kind in one.kinds and ends(words, one.names)]
