from lemnis import app

SHAPE = ["from", "to", "relation", "method", "strength", "evidence"]


def test_the_story_by_its_commands(lemnis):
    incident, lesson = lemnis.written.lesson.incident, lemnis.written.id
    hops = lemnis("incident", "trace", incident, "--json")
    assert [list(hop) for hop in hops] == [SHAPE] * 7
    assert hops[-1]["to"] == "owner:@shop/shipping"
    assert lemnis("incident", "trace", hops[0]["evidence"]["alert"], "--json") == hops
    [again] = lemnis("lesson", "propose", incident, "--json")
    assert (again["id"], again["state"], again["commit"]) == (lesson, "proposed", lemnis.written.commit)
    refused = lemnis("lesson", "merge", lesson, expect=1)
    assert "not proven" in refused
    [proof] = lemnis("lesson", "prove", lesson, "--json")
    assert set(proof) >= {"proven", "old", "new", "history"}
    [one] = lemnis("lesson", "list", "--json")
    assert (one["id"], one["incident"], one["state"]) == (lesson, incident, "proven")
    [merged] = lemnis("lesson", "merge", lesson, "--json")
    assert merged["state"] == "merged"
    assert lemnis("lesson", "list", "--json")[0]["state"] == "merged"
    *_, told = lemnis("incident", "metrics", "--json")
    assert told["repeats"] == []


def test_people_see_what_matters(lemnis):
    text = lemnis("lesson", "show", lemnis.written.id)
    for word in ("shop/labels.py:4", "@shop/shipping", "weakness in shop/", "for review", "policy.rego"):
        assert word in text
    text = lemnis("lesson", "prove", lemnis.written.id)
    for word in ("PROVEN", "let pass", "stopped", "before the first alert"):
        assert word in text
    assert lemnis.written.id in lemnis("lesson", "list")
    assert "@shop/shipping" in lemnis("incident", "trace", lemnis.written.lesson.incident)


def test_a_lesson_that_does_not_hold_exits_1(lemnis):
    edited = lemnis.world.edit(lemnis.written, {"policy.rego": lambda text: text.replace("{78}", "{79}")})
    assert edited
    [proof] = lemnis("lesson", "prove", lemnis.written.id, "--json", expect=1)
    assert proof["proven"] is False
    assert any("stops the cause" in reason for reason in proof["reasons"])
    assert "NOT PROVEN" in lemnis("lesson", "prove", lemnis.written.id, expect=1)


def test_a_broken_trace_exits_1_and_unknown_names_exit_2(lemnis):
    workspace = lemnis.world.workspace
    for path in (workspace.state / "vault").rglob("*"):
        if path.is_file():
            path.chmod(0o600)
            path.write_bytes(path.read_bytes().replace(b"payload", b"paYload", 1))
    hops = lemnis("incident", "trace", lemnis.written.lesson.incident, "--json", expect=1)
    assert (hops[-1]["relation"], hops[-1]["strength"]) == ("built_by", "broken")
    assert hops[-1]["broken"]
    assert "the trace breaks at built_by" in lemnis(
        "lesson", "propose", lemnis.written.lesson.incident, expect=1
    )
    assert "no incident" in lemnis("incident", "trace", "in-nothing", expect=2)
    assert "no lesson" in lemnis("lesson", "prove", "2000-abcdef", expect=2)
    assert app.journal(workspace).verify()
