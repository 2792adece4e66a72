r"""``source.yaml`` and ``mapping.yaml``: a log product, how it is read, and what its fields mean.

Everything here speaks of *raw fields*: the columns of ``RawBatch.fields``, by the (dotted) names that the
source's parser gives them. A raw value is a text, a list of texts, or absent.

``source.yaml``::

    name: acme_proxy                     # the folder's name
    title: Acme proxy
    vendor: Acme
    product: Proxy
    parser: jsonl                        # a module of ingest/parsers
    mapping: acme_gateway                # the source beside it whose mapping it shares; else its own
    encoding: cp1252                     # what its text is written in; else UTF-8, or UTF-16 if it looks so
    options: {records_at: Records}       # given to the parser as they stand
    identity: [[id, Id], time]           # fields (or the first there) that name it for good; else its place
    ignore_case: [channel]               # conditions compare these fields without regard to case
    raw: keep                            # or drop: events then have no `raw_data`, only the mapped fields
    recognise:                           # how a reader tells that a file is of this source
      files: ["*acme*.log"]              # names, as globs; never enough alone unless nothing else is given
      starts: ["ElfFile"]                # texts that the bytes begin with
      line: '^\{"acme":'                  # RE2, over the first line
      fields: {vendor: acme}             # a condition over the parsed fields of the first records
    sigma:
      routes:                            # a row belongs to every route whose `when` fits
        - when: {kind: request}
          product: acme                  # each of the three may be left out, or be a list
          category: proxy
          service: access
          fields: {c-ip: {from: client}} # as below, for the rows of this route only
      fields:                            # Sigma's name for what this source calls otherwise
        c-uri: http_request.url.url_string    # an OCSF path: the value that the mapping put there
        cs-user: {from: [user, account]}      # a line over raw fields (no OCSF path holds it)

A Sigma field that is not listed is the raw field of that name.

``mapping.yaml``: the first entry of ``events`` whose ``when`` fits maps the record; a record that none fits
is rejected with that reason. What ``common`` says holds for every entry that does not say otherwise::

    common:
      absent: ["-"]                      # texts that count as not there, in every line
      time: {from: ts, format: iso}
      set: {device.hostname: host}       # where the entry's class has the attribute
    events:
      - name: request                    # names the entry in errors, lineage and the event's metadata
        class: http_activity
        when: {kind: request}
        time: [{from: start, format: epoch_ms}, {from: ts, format: iso}]    # the first that is there
        raw: drop                        # of these records; else as source.yaml says
        severity: informational          # or a line that gives one of the names
        activity: {from: method, map: {GET: 3, POST: 6}, default: 99}       # a line, or an activity_id
        set:
          src_endpoint.ip: client        # a raw field, as it is
          src_endpoint.port: {from: port, as: integer}
          http_response.code: {from: status, as: integer, absent: ["-"]}
          metadata.log_provider: {value: acme}
          resources[0].uid: arn          # objects in a list, by number
          answers[].rdata: answers       # an object for each of several values
          user.name: [{from: user}, {from: owner, match: '^([^@]+)@'}]      # the first that is there

**Conditions** (``when``, ``recognise.fields``) map raw fields to what they must be; all must hold:
a value (equals), a list (one of), null (absent), or tests ``{equals, in, startswith, endswith, contains,
matches, exists, ignore_case}``, of which all must hold and each may have several values (one of).
``all: [...]``, ``any: [...]`` and ``not: {...}`` combine conditions. ``{}`` always holds.

**Lines** say where an attribute's value comes from: a raw field's name, or ``{from, value, absent, pick,
match, split, as, map, default, personal}``, applied in that order. ``from`` takes the first of several fields
that is there; texts in ``absent`` count as not there, also after ``match``; ``pick`` reads a list of objects
(or an object) that a parser left as JSON and takes what is at a path of member names joined by dots, of every
object or, where a name is a number, of that one; ``where: {Name: [UserAgent]}`` picks only from objects whose
members are one of these; an attribute that is no list gets the first; ``match`` (RE2) keeps the group named
``value``, else the first group, else all of it, and where it does not match there is no value; ``split``
makes a list; ``as`` converts (below); ``map`` translates, and leaves out what it does not know unless there
is a ``default``; ``default`` also stands in for an absent value. A value that ``as`` cannot convert rejects
the record, with ``lenient: true`` it is left out. ``personal: true`` labels a value as personal data.

A mapping of records that are OCSF events already has ``passthrough: true`` instead of ``events``: a record
becomes an event of the class that its ``class_uid`` names, of which each attribute is checked and taken as it
is; what the class does not have stays in ``unmapped``.

Whatever the lines of an entry do not keep word for word goes into the event's ``unmapped``, so the raw
fields can be had back from any event: Sigma rules see the same columns on raw input and on the lake.

``fields.txt`` beside it lists further fields that the records may have, for ``lemnis rules lint``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from lemnis.content import kept, yaml
from lemnis.content.library import Item
from lemnis.content.schemas import Model
from lemnis.content.schemas.source_checks import mapping_problems, source_problems
from lemnis.contracts.errors import ContentError
from lemnis.contracts.ids import tree_digest
from lemnis.ocsf.schema import classes

Scalar = bool | int | float | str
Texts = tuple[Scalar, ...]
Conversion = Literal[
    "string", "integer", "hexadecimal", "number", "boolean", "lower", "upper", "ip", "timestamp",
    "basename", "dirname", "json", "hashes", "objects",
]  # fmt: skip
"""``integer`` reads decimal and 0x numbers, ``hexadecimal`` bare hex digits; ``timestamp`` gives int64 ms by
the line's ``format``; ``json`` reads a JSON list of texts; ``hashes`` reads ``SHA256=…,MD5=…`` or bare
digests into OCSF fingerprints; ``objects`` reads JSON whose members are named as the standard names them;
``basename`` and ``dirname`` know both slashes."""
Raw = Literal["keep", "drop"]
"""Whether events keep the record that they were made of, in ``raw_data``."""
Encoding = Literal[
    "", "latin-1", "iso8859-2", "iso8859-15", "cp1250", "cp1251", "cp1252", "cp437", "cp850", "koi8-r",
    "utf-16-le", "utf-16-be",
]  # fmt: skip
"""What text may be written in, by Python's names; empty: it is told apart by how it begins."""
SeverityName = Literal["unknown", "informational", "low", "medium", "high", "critical", "fatal"]


def _many(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


Values = Annotated[Texts, pydantic.BeforeValidator(_many)]
Names = Annotated[tuple[str, ...], pydantic.BeforeValidator(_many)]


class Test(Model):
    """What one field must be; every part that is given must hold, by any one of its values."""

    equals: Values | None = None
    in_: Values | None = pydantic.Field(default=None, alias="in")
    startswith: Values | None = None
    endswith: Values | None = None
    contains: Values | None = None
    matches: Names | None = None
    exists: bool | None = None
    ignore_case: bool = False


def _test(value: Any) -> Any:
    if value is None:
        return {"exists": False}
    return {"equals": value} if isinstance(value, bool | int | float | str | list) else value


class Condition(Model):
    """A conjunction: tests by field, and nested conditions."""

    tests: Mapping[str, Annotated[Test, pydantic.BeforeValidator(_test)]] = pydantic.Field(
        default_factory=dict
    )
    all: tuple[Condition, ...] = ()
    any: tuple[Condition, ...] = ()
    not_: Condition | None = pydantic.Field(default=None, alias="not")

    @pydantic.model_validator(mode="before")
    @classmethod
    def _gather(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        words = {key: value[key] for key in ("all", "any", "not") if key in value}
        return {"tests": {key: test for key, test in value.items() if key not in words}, **words}


class TimeLine(Model):
    """Where the time is and how it is written.

    ``iso`` (without an offset it is UTC), ``epoch_s`` (also with a fraction), ``epoch_ms``, ``epoch_us``,
    ``epoch_ns``, ``epoch`` (any of these, by its size), ``filetime`` (100 ns since 1601), ``syslog``
    (``Mmm dd HH:MM:SS``; its year is passed in), ``clf`` (``dd/Mmm/yyyy:HH:MM:SS +hhmm``), or a strptime
    format (recognised by its ``%``).
    """

    source: Names = pydantic.Field(alias="from")
    format: str = "iso"
    absent: Values = ()

    @pydantic.field_validator("format")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in TIME_FORMATS and "%" not in value:
            raise ValueError(f"one of {', '.join(TIME_FORMATS)}, or a strptime format")
        return value


TIME_FORMATS = (
    "iso", "epoch", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns", "filetime", "syslog", "clf",
)  # fmt: skip


class Line(Model):
    """Where a value comes from and what is done to it; see the module."""

    source: Names = pydantic.Field(default=(), alias="from")
    value: Scalar | tuple[Scalar, ...] | None = None
    absent: Values = ()
    pick: str | None = pydantic.Field(default=None, min_length=1)
    where: Mapping[str, Values] = pydantic.Field(default_factory=dict)
    match: str | None = None
    split: str | None = None
    as_: Conversion = pydantic.Field(default="string", alias="as")
    format: str = "iso"
    map: Mapping[str, Scalar] | None = None
    default: Scalar | None = None
    lenient: bool = False
    personal: bool = False

    @pydantic.model_validator(mode="after")
    def _one_origin(self) -> Line:
        if bool(self.source) == (self.value is not None):
            raise ValueError("give either `from` or `value`")
        if self.where and self.pick is None:
            raise ValueError("`where` says of which objects to `pick`: give both")
        return self

    @pydantic.field_validator("map", mode="before")
    @classmethod
    def _text_keys(cls, value: Any) -> Any:
        return {_text(key): item for key, item in value.items()} if isinstance(value, dict) else value


def _text(value: object) -> str:
    """Write a scalar the way parsers do: booleans in small letters."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _line(value: Any) -> Any:
    return {"from": value} if isinstance(value, str) else value


def _lines(value: Any) -> Any:
    return [_line(one) for one in value] if isinstance(value, list | tuple) else [_line(value)]


Lines = Annotated[tuple[Line, ...], pydantic.BeforeValidator(_lines)]
Times = Annotated[tuple[TimeLine, ...], pydantic.BeforeValidator(_many)]


def _constant(value: Any) -> Any:
    return _lines({"value": value} if isinstance(value, int) else value)


def _severity(value: Any) -> Any:
    return _lines({"value": value} if isinstance(value, str) else value)


class Common(Model):
    """What holds for every entry that does not say otherwise."""

    time: Times | None = None
    severity: Annotated[Lines, pydantic.BeforeValidator(_severity)] | None = None
    set: Mapping[str, Lines] = pydantic.Field(default_factory=dict)


class Entry(Common):
    """One kind of record, and the OCSF event it becomes."""

    name: str = pydantic.Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,80}$")
    class_: str = pydantic.Field(alias="class")
    raw: Raw | None = None
    when: Condition = Condition()
    activity: Annotated[Lines, pydantic.BeforeValidator(_constant)]


class Everywhere(Common):
    """What holds for every entry, and the texts that count as absent in every line."""

    absent: Values = ()


class MappingFile(Model):
    """``mapping.yaml``; with ``passthrough``, records are OCSF events already and keep their classes."""

    passthrough: bool = False
    common: Everywhere = Everywhere()
    events: tuple[Entry, ...] = pydantic.Field(min_length=1)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _every_class(cls, value: Any) -> Any:
        """Give a passthrough an entry for each class, and Base Event for classes that are not kept."""
        if not isinstance(value, dict) or value.get("passthrough") is not True or "events" in value:
            return value
        known = [
            {"name": one.name, "class": one.name, "when": {"class_uid": one.uid}, "activity": _ACTIVITY}
            for one in classes().values()
        ]
        other = {"name": "other", "class": BASE, "when": {"class_uid": {"exists": True}}, "activity": 99}
        return {**value, "events": [*known, other]}

    @pydantic.model_validator(mode="after")
    def _names_differ(self) -> MappingFile:
        names = [entry.name for entry in self.events]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"several entries are named {', '.join(twice)}")
        return self


_ACTIVITY = {"from": "activity_id", "default": 0}
BASE = "base_event"


def _sigma_field(value: Any) -> Any:
    return {"ocsf": value} if isinstance(value, str) else {"line": value}


class SigmaField(Model):
    """A Sigma field: the value at an OCSF path, or a line over raw fields."""

    ocsf: str | None = None
    line: Line | None = None


SigmaFields = Mapping[str, Annotated[SigmaField, pydantic.BeforeValidator(_sigma_field)]]


class Route(Model):
    """Rows of a Sigma log source."""

    when: Condition = Condition()
    product: Names = ()
    category: Names = ()
    service: Names = ()
    fields: SigmaFields = pydantic.Field(default_factory=dict)


class SigmaView(Model):
    """How Sigma rules see the source."""

    routes: tuple[Route, ...] = ()
    fields: SigmaFields = pydantic.Field(default_factory=dict)


class Recognise(Model):
    """How a reader tells that a file is of this source; all that is given must hold."""

    files: Names = ()
    starts: Names = ()
    line: str | None = None
    fields: Condition | None = None


class SourceFile(Model):
    """``source.yaml``."""

    name: str = pydantic.Field(pattern=r"^[a-z][a-z0-9_]{0,60}$")
    title: str
    vendor: str
    product: str
    parser: str = pydantic.Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")
    mapping: str | None = pydantic.Field(default=None, pattern=r"^[a-z][a-z0-9_]{0,60}$")
    options: Mapping[str, Any] = pydantic.Field(default_factory=dict)
    encoding: Encoding = ""
    raw: Raw = "keep"
    identity: Annotated[tuple[Names, ...], pydantic.BeforeValidator(_many)] = ()
    ignore_case: Names = ()
    recognise: Recognise = Recognise()
    sigma: SigmaView = SigmaView()


@dataclass(frozen=True, slots=True)
class LoadedSource:
    """A source, read and checked: what the readers, the mapping and the Sigma frames work from.

    ``digest`` is that of both files; ``folder`` holds them, with ``samples/`` and ``golden/``.
    """

    name: str
    file: SourceFile
    mapping: MappingFile
    folder: Path
    digest: str

    @property
    def mapping_file(self) -> Path:
        """Return where its mapping stands."""
        return _mapping_file(self.folder, self.file)

    @classmethod
    def load(cls, item: Item, *, values: kept.Values | None = None) -> LoadedSource:
        """Read a source of the library; raises ContentError at the line and column of what is wrong.

        Of texts whose ``values`` are known no YAML is read.
        """
        return cls.read(item.folder, values=values)

    @classmethod
    def read(cls, folder: Path, *, values: kept.Values | None = None) -> LoadedSource:
        """Read the source in a folder; raises ContentError at the line and column of what is wrong."""
        read = values.value if values else None
        file = folder / "source.yaml"
        known = _KNOWN.get(folder)
        if known is not None and known.digest == _digest(file, known.mapping_file):
            return known
        source = yaml.load(file, SourceFile, read=read)
        mapping = _mapping_file(folder, source)
        if source.name != folder.name:
            raise ContentError(
                f"the source is named {source.name!r}, its folder {folder.name!r}",
                at=yaml.locate(file, ["name"]),
                fix="give both the same name",
            )
        if source.mapping and not mapping.is_file():
            raise ContentError(
                f"there is no source {source.mapping!r} beside it whose mapping it could share",
                at=yaml.locate(file, ["mapping"]),
                fix="leave `mapping` out and give it a mapping.yaml of its own",
            )
        loaded = yaml.load(mapping, MappingFile, read=read)
        for problem in (*mapping_problems(loaded), *source_problems(source, loaded)):
            place = mapping if problem.file == mapping.name else file
            raise ContentError(problem.what, at=yaml.locate(place, problem.path), fix=problem.fix)
        digest = tree_digest((path.name, path.read_bytes()) for path in (file, mapping))
        made = cls(source.name, source, loaded, folder, digest)
        if len(_KNOWN) >= _MOST:
            _KNOWN.clear()
        _KNOWN[folder] = made
        return made


_MOST = 1000
_KNOWN: dict[Path, LoadedSource] = {}
"""What was read of a folder last: a command asks for all sources more than once."""


def _digest(*files: Path) -> str:
    """Return the digest of files as they are now; an empty text if one is not there."""
    try:
        return tree_digest((path.name, path.read_bytes()) for path in files)
    except OSError:
        return ""


def _mapping_file(folder: Path, source: SourceFile) -> Path:
    return (folder.parent / source.mapping if source.mapping else folder) / "mapping.yaml"
