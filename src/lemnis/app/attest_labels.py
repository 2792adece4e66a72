"""Labels of images: read where an image lies, kept in the journal, compared whenever there is provenance.

A label that contradicts the provenance of its image is a finding and an alert, once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lemnis import app
from lemnis.app import attest, settings
from lemnis.contracts.alerts import Alert, Entity, EntityKind, Severity
from lemnis.contracts.errors import InputError, Location, RecordError, UsageError
from lemnis.contracts.findings import Finding, Health, Kind, ScanHealth, ScanReport
from lemnis.contracts.ids import canonical, digest, stable_id
from lemnis.contracts.journal import NewEntry

if TYPE_CHECKING:
    from lemnis.contracts.ids import Json
    from lemnis.graph.labels import Compared, Said

LABELS = "image_labels"
"""The kind of journal entry; its subject is ``image:…``."""
RULE = "image_label_contradicts"
_MOST, _LONGEST = 100, 1000
_MAX_FILE = 16_000_000
_TAGS = ("attack.initial-access", "attack.t1195.002")


@dataclass(frozen=True, slots=True)
class Labelled:
    """An image as it lies somewhere: its name, its digest, those of the indexes that hold it, its labels."""

    name: str
    digest: str
    within: tuple[str, ...]
    labels: tuple[Said, ...]


@dataclass(frozen=True, slots=True)
class Looked:
    """What was compared for one image; ``alerts`` are those that are new."""

    image: str
    name: str
    compared: tuple[Compared, ...]
    alerts: tuple[str, ...]


def look(workspace: app.Workspace, path: Path, image: str = "") -> list[Looked]:
    """Read the labels of the images at a path, keep them, and compare them with their provenance.

    ``path`` is an OCI layout or a tar of one, or what `docker image inspect` or `skopeo inspect` printed.
    With ``image`` only the one of this digest counts, or those of the index that has it. Raises InputError
    for what is no image, UsageError for a digest that is none of them.
    """
    found = read(path)
    if image:
        found = [one for one in found if image in (one.digest, *one.within)]
        if not found:
            raise UsageError(
                f"{image} is no image there", at=Location(str(path)),
                fix="an OCI layout tells the digest that registries use; what `docker save` writes may not",
            )  # fmt: skip
    own = settings.load(workspace).image_labels
    about: dict[str, tuple[str, list[Said]]] = {}
    for one in found:
        for known in (one.digest, *one.within):
            about.setdefault(known, (one.name, []))[1].extend(one.labels)
    if image:
        about = {image: about[image]}
    for known, (name, said) in about.items():
        _keep(workspace, known, name, said, own)
    return [
        Looked(known, name, compared := of_image(workspace, known), _alarm(workspace, known, compared))
        for known, (name, _) in about.items()
    ]


def of_image(workspace: app.Workspace, image: str) -> tuple[Compared, ...]:
    """Compare the labels that are known of an image with its provenance, as both are now."""
    from lemnis.graph.labels import Said, compare

    known = settings.load(workspace)
    entries = list(app.journal(workspace).entries(kind=LABELS, subject=f"image:{image}"))
    kept: Any = entries[-1].payload["labels"] if entries else []
    said = [Said(str(one["name"]), str(one["value"]), str(one["place"])) for one in kept]
    build = attest.of_image(workspace, image).build
    one = known.repository(build.repository) if build is not None else None
    compared = compare(
        said, build, own=dict(known.image_labels), aliases=(one.name, one.url) if one is not None else ()
    )
    return compared if entries else ()


def compare_again(workspace: app.Workspace, images: Iterable[str]) -> list[str]:
    """Compare the labels of some images, of which something new was attested; return the new alerts."""
    labelled = {entry.subject for entry in app.journal(workspace).entries(kind=LABELS, bare=True)}
    return [
        alert
        for image in images
        if f"image:{image}" in labelled
        for alert in _alarm(workspace, image, of_image(workspace, image))
    ]


def document(compared: Sequence[Compared]) -> list[dict[str, Json]]:
    """Return what was compared as JSON, as policies see it."""
    return [
        {
            "name": one.said.name, "place": one.said.place, "value": one.said.value,
            "attested": one.attested, "state": str(one.state), "why": one.why,
        }
        for one in compared
    ]  # fmt: skip


def facts(workspace: app.Workspace, image: str) -> tuple[str, list[dict[str, Json]]]:
    """Return how an image's labels stand together, and each, as gates see it; unknown if none were read."""
    from lemnis.graph.labels import overall

    compared = of_image(workspace, image)
    return overall(compared) if compared else "unknown", document(compared)


def read(path: Path) -> list[Labelled]:
    """Return the images at a path with their labels; raises InputError for what is none."""
    import orjson

    from lemnis.scan.images.opening import Source, images, is_image

    where = Location(str(path))
    try:
        if path.is_file() and path.stat().st_size <= _MAX_FILE:
            with path.open("rb") as file:
                if file.read(1) in {b"[", b"{"}:
                    return _inspected(orjson.loads(path.read_bytes()), where)
        documents = Source(path).documents()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", at=where) from error
    except (RecordError, orjson.JSONDecodeError) as error:
        raise InputError(f"no image: {getattr(error, 'what', error)}", at=where) from error
    found, errors = images(documents) if is_image(documents) else ([], ["there is no index in it"])
    if not found:
        raise InputError(f"no image: {errors[0] if errors else 'it is empty'}", at=where)
    return [
        Labelled(
            one.name, one.digest, one.within,
            (*_said(_labels(one.config), "label"), *_said(one.annotations, "annotation")),
        )
        for one in found
    ]  # fmt: skip


def _inspected(document: Any, where: Location) -> list[Labelled]:
    """Read what `docker image inspect` (a list) or `skopeo inspect` (an object) printed."""
    found = []
    for one in document if isinstance(document, list) else [document]:
        if not isinstance(one, dict):
            continue
        known = one.get("RepoDigests")
        names = [str(name) for name in known if "@" in str(name)] if isinstance(known, list) else []
        names += [f"{one.get('Name', '')}@{one['Digest']}"] if isinstance(one.get("Digest"), str) else []
        labels = one.get("Labels") if "Labels" in one else _labels({"config": one.get("Config")})
        found += [
            Labelled(name.partition("@")[0], name.partition("@")[2], (), tuple(_said(labels, "label")))
            for name in names
        ]
    if not found:
        raise InputError(
            "no image with a digest in it", at=where,
            fix="what `docker image inspect` prints has RepoDigests once the image was pushed or pulled",
        )  # fmt: skip
    return found


def _labels(config: Mapping[str, Any]) -> Any:
    inner = config.get("config")
    return inner.get("Labels") if isinstance(inner, dict) else None


def _said(labels: Any, place: str) -> list[Said]:
    from lemnis.graph.labels import Said

    pairs = labels.items() if isinstance(labels, Mapping) else ()
    return [Said(name, value[:_LONGEST], place) for name, value in pairs if isinstance(value, str)]


def _keep(
    workspace: app.Workspace, image: str, name: str, said: Sequence[Said], own: Mapping[str, str]
) -> None:
    """Write down the labels that repeat something of a build, unless they are the last that were."""
    from lemnis.graph import labels

    attest.check_digest(image)
    wanted = sorted({one for one in said if one.name in labels.LABELS or one.name in own})[:_MOST]
    kept: list[Json] = [{"name": s.name, "value": s.value, "place": s.place} for s in wanted]
    journal = app.journal(workspace)
    before = list(journal.entries(kind=LABELS, subject=f"image:{image}"))
    if before and canonical(before[-1].payload.get("labels")) == canonical(kept):
        return
    key = stable_id(LABELS, image, str(len(before)), digest(canonical(kept)))
    journal.append(NewEntry(LABELS, f"image:{image}", key, {"image": image, "name": name, "labels": kept}))


def _alarm(workspace: app.Workspace, image: str, compared: Sequence[Compared]) -> tuple[str, ...]:
    """Write down a finding and an alert for each label that contradicts; return those that are new."""
    from lemnis.graph.labels import State

    bad = [one for one in compared if one.state is State.CONTRADICTS]
    new = [one for one in bad if app.journal(workspace).get(_alert_id(image, one)) is None]
    if not new:
        return ()
    from lemnis.app import pipeline, watch
    from lemnis.incidents.entries import alert_entry
    from lemnis.scan import posture

    report = ScanReport(
        tuple(_finding(image, one) for one in new),
        (ScanHealth("lemnis_labels", "", Health.OK, 1, (), 0),),
    )
    pipeline.into_lake(workspace, report, resource=image, revision="labels")
    content, now = app.library(workspace).digest, workspace.clock.now()
    made = [
        Alert(
            id=_alert_id(image, one), rule_id=RULE, title=_title(one), severity=Severity.HIGH, time=now,
            source="lemnis", event_uids=(posture.uid(finding, image, "labels"),),
            entities=(Entity(EntityKind.IMAGE, image),), content_digest=content, tags=_TAGS,
            event={"image": image, "labels": document([one])},
            fingerprint=stable_id("fp", RULE, image, one.said.name),
        )
        for one, finding in zip(new, report.findings, strict=True)
    ]  # fmt: skip
    app.journal(workspace).append_all([alert_entry(alert) for alert in made])
    watch.settle(workspace)
    return tuple(alert.id for alert in made)


def _finding(image: str, one: Compared) -> Finding:
    return Finding(
        stable_id("fp", RULE, image, one.said.place, one.said.name, one.said.value), "lemnis_labels", RULE,
        _title(one), Severity.HIGH, "", 0, 0, message=f"{one.said.value!r}: {one.why}", kind=Kind.CONFIG,
        resource=image, fix="find out who pushed this image, and rebuild it",
        controls=("NIST.SSDF.PS.2", "SLSA.v1.0.Build.L2"),
    )  # fmt: skip


def _title(one: Compared) -> str:
    return f"the {one.said.place} {one.said.name} contradicts the provenance of its image"


def _alert_id(image: str, one: Compared) -> str:
    return stable_id("al", RULE, image, one.said.place, one.said.name, one.said.value, one.attested)
