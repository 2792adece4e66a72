"""Content as a whole: what there is, whether it holds, its digest."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from functools import partial

from lemnis.app import checks, policies, searches
from lemnis.content import reference, schemas, yaml
from lemnis.content.library import KINDS, REFERENCE, Item, Library
from lemnis.content.schemas import Model
from lemnis.contracts.errors import ContentError, Location, NotFoundError

Loader = Callable[[Item], object]
_KINDS = {"grouping": "correlations"}


def loaders() -> dict[str, Loader]:
    """Return what reads an item of each kind.

    A schema module adds its kind by naming it: ``KIND = "threats"`` and ``MODEL = Threat``; without that, a
    module named like the kind in the singular is taken, with the class of that name.
    """
    found: dict[str, Loader] = {}
    for module in pkgutil.iter_modules(schemas.__path__):
        loaded = importlib.import_module(f"{schemas.__name__}.{module.name}")
        kind = getattr(loaded, "KIND", _KINDS.get(module.name, f"{module.name}s"))
        model = getattr(loaded, "MODEL", getattr(loaded, module.name.title(), None))
        if kind in KINDS and isinstance(model, type) and issubclass(model, Model):
            found[kind] = _by_model(model)
    return found | {"checks": checks.load_one, "policies": policies.load_one, "searches": searches.read}


def lint(library: Library, kind: str) -> Iterator[ContentError]:
    """Yield what is wrong with the items of a kind: the first mistake of each."""
    if kind == "detections":
        from lemnis.detect.rules import load_rules

        yield from load_rules([item.manifest for item in library.items(kind).values()]).problems
    elif kind == "sources":
        from lemnis.ingest.sources import Sources

        yield from Sources.load(library).problems
    elif kind == "exceptions":
        yield from _first(lambda: policies.exceptions(library))
    elif kind in REFERENCE:
        yield from reference.read(library, [kind])[1]
    elif kind == "rule_exceptions":
        from lemnis.app import exceptions
        from lemnis.detect.rules import load_rules

        manifests = [item.manifest for item in library.items("detections").values()]
        yield from exceptions.lint(library, load_rules(manifests if library.items(kind) else []))
    else:
        load = loaders().get(kind)
        for item in library.items(kind).values():
            if load is None:
                raise NotFoundError(f"nothing reads content of kind {kind}", at=Location(str(item.manifest)))
            yield from _first(partial(load, item))


def lint_all(library: Library) -> list[ContentError]:
    """Return everything that is wrong in a library, what is no item included."""
    return [*library.problems, *(problem for kind in KINDS for problem in lint(library, kind))]


def _first(read: Callable[[], object]) -> Iterator[ContentError]:
    """Yield the mistake that reading finds, if any."""
    try:
        read()
    except ContentError as error:
        yield error


def _by_model(model: type[Model]) -> Loader:
    return lambda item: yaml.load(item.manifest, model)
