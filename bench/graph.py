"""`lemnis bench graph`: the provenance graph of a company: a million entities, five million edges.

Made here from a fixed seed: workloads of images that were built from commits of repositories, with the
packages in the images. `load` writes it into a new database, `trace` goes from processes to owners, `impact`
from one package to 100,000 workloads; there the same question as one recursive query is the peer, and both
must find the same. Loading is by the wall clock, for it waits for the device, and by this process's CPU time
as well, which is what it needs of a core however busy the machine is.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain, islice
from pathlib import Path

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from lemnis.app.bench import Figure
from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.provenance import Edge, Exposed, Strength
from lemnis.graph.impact import impact as exposed
from lemnis.graph.store import Graph
from lemnis.graph.walks import Walker
from lemnis.store.database import open_engine

BEGIN, HOUR, SEED = 1_767_225_600_000, 3_600_000, 20_260_101
WORKLOADS, IMAGES, PACKAGES, COMMITS, LINES = 100_000, 20_000, 200_000, 200_000, 200_000
IN_AN_IMAGE, TRACES, PATHS = 150, 500, 20
LOAD_S, TRACE_MS, IMPACT_S = 50_000.0, 100.0, 1.0
"""What has to be reached."""
_SOME = 500_000
_HOSTS, _REPOSITORIES, _TEAMS = 2_000, 1_000, 200
_K = EntityKind
EVERYWHERE = Entity(_K.PACKAGE, "pkg:deb/debian/libc6@2.36-9+deb12u10")
NOW = BEGIN + 1_000 * HOUR


def digest(number: int) -> str:
    """Return what looks like a digest."""
    return f"sha256:{number * 0x9E3779B97F4A7C15 & (1 << 256) - 1:064x}"


def edges() -> Iterator[Edge]:
    """Make the graph, a thing after the other, as collectors tell of it."""
    source = np.random.default_rng(SEED)
    packages = [
        EVERYWHERE,
        *(Entity(_K.PACKAGE, f"pkg:pypi/package-{n // 4}@1.{n % 4}.0") for n in range(1, PACKAGES)),
    ]
    hosts = [Entity(_K.HOST, f"node-{n}.eu.example") for n in range(_HOSTS)]
    teams = [Entity(_K.OWNER, f"@example/team-{n}") for n in range(_TEAMS)]
    repositories = [
        Entity(_K.REPOSITORY, f"https://git.example/org/service-{n}") for n in range(_REPOSITORIES)
    ]
    commits = [
        Entity(_K.COMMIT, f"{n * 0x9E3779B97F4A7C15 & (1 << 160) - 1:040x}") for n in range(1, COMMITS + 1)
    ]
    images = [Entity(_K.IMAGE, digest(n + 1)) for n in range(IMAGES)]
    for number, commit in enumerate(commits):
        repository = repositories[number % _REPOSITORIES]
        git = {"repository": repository.value}
        yield Edge(commit, repository, "in_repository", "git", Strength.RECORDED, git)
        if number < LINES:
            line = Entity(
                _K.SOURCE_LINE, f"service-{number % _REPOSITORIES}/src/module_{number}.py:{number % 90}"
            )
            facts = {"file": line.value, "deployed": commit.value}
            wrote = commits[max(0, number - int(source.integers(0, 1000)))]
            yield Edge(commit, line, "has_line", "findings", Strength.RECORDED, facts)
            yield Edge(line, wrote, "introduced_by", "git_blame", Strength.RECORDED, facts)
            owner = teams[number % _TEAMS]
            yield Edge(line, owner, "owned_by", "codeowners", Strength.LABEL, {"file": "CODEOWNERS:7"})
    drawn = source.zipf(1.2, (IMAGES, IN_AN_IMAGE)) % (PACKAGES // 20)
    for number, image in enumerate(images):
        commit = commits[number % COMMITS]
        build = Entity(_K.BUILD, f"https://ci.example/runs/{number}")
        proof = {"attestation": digest(number + 10**9), "builder": "https://ci.example/builder"}
        yield Edge(image, build, "built_by", "attestation", Strength.VERIFIED, proof)
        yield Edge(build, commit, "built_from", "attestation", Strength.VERIFIED, proof)
        yield Edge(image, commit, "built_from", "oci_label", Strength.LABEL, {"config": image.value})
        bill = {"sbom": digest(number + 2 * 10**9), "tool": "syft"}
        spread = {
            0,
            *(int(one) for one in drawn[number]),
            *(int(n) for n in source.integers(0, PACKAGES, 60)),
        }
        for package in sorted(spread):
            yield Edge(image, packages[package], "contains", "sbom", Strength.RECORDED, bill)
    for number in range(WORKLOADS):
        workload = Entity(_K.WORKLOAD, f"cluster-{number % 20}/space-{number % 400}/service-{number}")
        image = images[int(source.integers(0, IMAGES))]
        container = Entity(_K.CONTAINER, digest(number + 3 * 10**9)[7:])
        process = Entity(_K.PROCESS, f"node-{number % _HOSTS}.eu.example/{number + 1000}")
        since = BEGIN + int(source.integers(0, 900)) * HOUR
        seen = {"events": [f"ev-{number:016x}"]}
        stated = {"cluster": f"cluster-{number % 20}", "resource_version": str(number)}
        made = (
            (workload, image, "instance_of", "cluster_state", Strength.RECORDED, stated),
            (container, image, "instance_of", "runtime_record", Strength.RECORDED, seen),
            (container, workload, "part_of", "cluster_state", Strength.RECORDED, stated),
            (container, hosts[number % _HOSTS], "runs_on", "cluster_state", Strength.RECORDED, stated),
            (process, container, "runs_in", "process_tree", Strength.OBSERVED, seen),
            (workload, teams[number % _TEAMS], "owned_by", "annotation", Strength.LABEL, stated),
        )
        for one, other, relation, method, strength, evidence in made:
            yield Edge(one, other, relation, method, strength, evidence, since)
            if relation == "instance_of":  # what ran before: it is there, and is not to be told of now
                old = images[(number * 7) % IMAGES]
                yield Edge(one, old, relation, method, strength, evidence, BEGIN - HOUR, since - 1)


@dataclass
class Bench:
    """The graph that the lanes share, in a folder that is gone afterwards."""

    folder: Path

    @cached_property
    def loaded(self) -> tuple[Graph, int, float, float]:
        """Return the graph, how many edges it was given, and in how many seconds, also of CPU.

        It is one load; what it took to make the edges is taken off.
        """
        graph, made, lost = Graph(open_engine(self.place)), edges(), np.zeros(2)

        def given() -> Iterator[list[Edge]]:
            while True:
                before = clocks()
                some = list(islice(made, _SOME))
                np.add(lost, clocks() - before, out=lost)
                if not some:
                    return
                yield some

        begun = clocks()
        count = graph.load(chain.from_iterable(given())).edges
        seconds, worked = (clocks() - begun - lost).tolist()
        return graph, count, seconds, worked

    @property
    def place(self) -> Path:
        """The database's file."""
        return self.folder / "journal.db"


def load(bench: Bench) -> Iterator[Figure]:
    """Load all of it into a new database; then some of it again."""
    graph, count, seconds, worked = bench.loaded
    with graph.reading() as connection:
        entities, kept = (
            connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()  # noqa: S608 - our own
            for table in ("graph_node", "graph_edge")
        )
    again = list(islice(edges(), _SOME // 10))
    begun = time.perf_counter()
    graph.load(again)
    yield Figure("entities", entities, "in the graph")
    yield Figure("edges", kept, "in the graph")
    yield Figure("edges loaded", count / seconds, "a second", LOAD_S)
    yield Figure("edges loaded, by CPU time", count / worked, "a second and core")
    yield Figure(
        "edges that are there already", len(again) / (time.perf_counter() - begun), "a second", LOAD_S
    )
    yield Figure("an edge with its share of all else", bench.place.stat().st_size / kept, "bytes")


def trace(bench: Bench) -> Iterator[Figure]:
    """Walk from processes to owners as of now, each asked of a graph that was just opened for it."""
    graph, *_ = bench.loaded
    graph, taken, hops = Graph(open_engine(bench.place)), [], 0
    for number in np.random.default_rng(SEED).integers(0, WORKLOADS, TRACES).tolist():
        start = Entity(_K.PROCESS, f"node-{number % _HOSTS}.eu.example/{number + 1000}")
        begun = time.perf_counter()
        walked = graph.trace(start, NOW)
        taken.append((time.perf_counter() - begun) * 1000)
        hops += sum(not hop.broken for hop in walked)
    yield Figure("a trace, at the median", statistics.median(taken), "ms", TRACE_MS, at_least=False)
    yield Figure("a trace, 99 of 100", statistics.quantiles(taken, n=100)[98], "ms")
    yield Figure("traces that come to the owner in 7 hops", hops / TRACES / 7, "(1: all)", 1.0)


def impact(bench: Bench) -> Iterator[Figure]:
    """Ask what one package exposes, as of now; and the same as one recursive query."""
    graph, *_ = bench.loaded
    found = exposed(graph, EVERYWHERE, NOW, shown=0)
    taken = [timed(lambda: exposed(graph, EVERYWHERE, NOW)) for _ in range(3)]
    yield Figure("impact of a package, all named", min(taken), "s", IMPACT_S, at_least=False)
    yield Figure("workloads that are exposed to it", found.causes[0].counts[_K.WORKLOAD], "", WORKLOADS)
    counted = min(timed(lambda: exposed(graph, EVERYWHERE, NOW, shown=100)) for _ in range(3))
    yield Figure("impact of a package, counted and 100 named", counted, "s", IMPACT_S, at_least=False)
    begun = time.perf_counter()
    peer = recursive(graph)
    yield Figure("the same as one recursive query, not named", time.perf_counter() - begun, "s")
    yield Figure("what the two find is the same", float(peer == found.causes[0].total), "(1: yes)", 1.0)
    draw = np.random.default_rng(SEED).integers(0, WORKLOADS, (PATHS, 2)).tolist()
    with graph.reading() as connection:
        walker = Walker(graph, connection, NOW)
        asked = [[_workload(number) for number in pair] for pair in draw]
        ways = [timed(partial(walker.path, one, other)) for one, other in asked]
    yield Figure("a path between two workloads, at the median", statistics.median(ways) * 1000, "ms")


def _workload(number: int) -> Entity:
    return Entity(_K.WORKLOAD, f"cluster-{number % 20}/space-{number % 400}/service-{number}")


def clocks() -> NDArray[np.float64]:
    """Return the seconds that have passed, and those of this process's CPU time."""
    return np.array([time.perf_counter(), time.process_time()])


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that something takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def recursive(graph: Graph) -> int:
    """Count what a package exposes in one recursive query."""
    with graph.reading() as connection:
        walker = Walker(graph, connection, NOW)
        ways = {exposes: ", ".join(map(str, walker.relations(exposes))) for exposes in Exposed}
        text = f"""
            WITH RECURSIVE reached(id) AS (
              SELECT CAST(:start AS BIGINT) UNION
              SELECT n.id FROM reached r CROSS JOIN (
                SELECT target AS here, source AS id, relation, strength, valid_from, valid_to FROM graph_edge
                WHERE relation IN ({ways[Exposed.SOURCE]})
                UNION ALL
                SELECT source, target, relation, strength, valid_from, valid_to FROM graph_edge
                WHERE relation IN ({ways[Exposed.TARGET]})
              ) n WHERE n.here = r.id AND n.strength > 0 AND n.valid_from <= :at AND n.valid_to >= :at
            ) SELECT count(*) - 1 FROM reached"""  # noqa: S608 - our own numbers
        asked = {"start": walker.number(EVERYWHERE), "at": NOW}
        return int(connection.execute(sa.text(text), asked).scalar_one())


LANES: dict[str, Callable[[Bench], Iterator[Figure]]] = {"load": load, "trace": trace, "impact": impact}


def run(lanes: Sequence[str] = ()) -> list[Figure]:
    """Run the lanes, all of them if none is named; the graph is loaded once."""
    with tempfile.TemporaryDirectory(prefix="lemnis-graph-") as folder:
        bench = Bench(Path(folder))
        return [figure for name in lanes or LANES for figure in LANES[name](bench)]
