"""``graph collect --lessons``: incidents with their causes, and what lessons and policies do about them."""

from lemnis import app
from lemnis.app import graph_learnt
from lemnis.contracts.alerts import Entity
from lemnis.graph import Graph
from lemnis.graph.impact import impact


def test_an_incident_leads_to_its_cause_and_what_else_is_exposed_to_it(lemnis):
    world, lesson = lemnis.world, lemnis.written.lesson
    [told] = lemnis("graph", "collect", "--lessons", "--json")
    assert (told["file"], told["kind"], told["problems"]) == ("lessons", "lessons", [])
    assert told["new"] == told["edges"] > 8
    graph = Graph(app.engine(world.workspace))
    incident = Entity.parse(f"incident:{lesson.incident}")
    line = Entity.parse(f"source_line:shop:{lesson.cause.path}:{lesson.cause.line}")
    causes = {edge.target for edge in graph.edges_from(incident, None) if edge.relation == "caused_by"}
    assert causes == {line, Entity.parse(f"commit:{lesson.cause.commit}")}
    found = impact(graph, incident, None)
    assert line in {one.entity for one in found.causes}
    reached = {str(one.entity) for cause in found.causes for one in cause.affected}
    assert "workload:shop/shop-web" in reached
    threat = Entity.parse(f"threat:{lesson.threat}")
    pairs = {(edge.relation, str(edge.source)) for edge in graph.edges_to([threat], None)}
    assert pairs == {
        ("adds", f"lesson:{lesson.id}"), ("mitigates", f"policy:{lesson.gate}"),
        ("detects", f"detection:{lesson.detection}"),
    }  # fmt: skip
    assert [str(e.target) for e in graph.edges_from(threat, None)] == ["workload:shop/shop-web"]
    assert "control:NIST.SSDF.PW.7" in {str(e.target) for e in graph.related("enforces")}


def test_the_same_again_changes_nothing(lemnis):
    lemnis("graph", "collect", "--lessons")
    again = graph_learnt.collect(lemnis.world.workspace)
    assert (again.new, again.ended) == (0, 0)


def test_without_anything_it_says_what_could_be(lemnis):
    assert "--lessons" in lemnis("graph", "collect", expect=2)
