"""How incidents are worked on over the API: tasks, links, merge and split, reviews, evidence, cases."""

from asking_api import asking, problem, run

from lemnis.app import incidents_evidence
from lemnis.incidents import verifier

REVIEW = {
    "went_well": ["seen within the hour"], "went_badly": [], "lucky": [],
    "contributing_causes": ["an old session", "no rule"], "detection_gap": "nobody looked",
    "control_that_failed": "sessions never end", "actions": [{"what": "End sessions", "owner": "ana", "due": "2030-01-02"}],
}  # fmt: skip
RULE = """package lemnis.hidden
import rego.v1
deny contains reason if {
    input.about.kind == "incident"
    input.person.name == "viewer"
    reason := {"message": "hidden from the viewer", "fix": ""}
}
"""


def hide(built):
    folder = built.access.workspace.content / "policies/hidden"
    folder.mkdir(parents=True)
    (folder / "policy.rego").write_text(RULE)
    (folder / "policy.yaml").write_text("id: hidden\ntitle: t\nstages: [access]\n")
    built.access._looked = 0


def test_tasks_are_added_taken_and_done_by_who_saw_what_there_was(built, incident):
    async def work():
        async with asking(built) as ask:
            at = f"/incidents/{incident.id}"
            seen = (await ask.get(at)).headers["etag"]
            task = {"title": "Ask Maria", "assignee": "ops", "due": "4h"}
            made = await ask.post(
                f"{at}/tasks", json=task, headers={"if-match": seen, "idempotency-key": "t-1"}
            )
            assert made.status_code == 201, made.text
            (one,) = made.json()["tasks"]
            assert (one["title"], one["assignee"], one["state"], one["by"]) == (
                "Ask Maria",
                "ops",
                "open",
                "analyst",
            )
            assert one["due"]
            again = await ask.post(
                f"{at}/tasks", json=task, headers={"if-match": seen, "idempotency-key": "t-1"}
            )
            assert again.headers["idempotency-replayed"] == "true"
            problem(
                await ask.post(f"{at}/tasks", json=task, headers={"if-match": seen}), 412, "changed-meanwhile"
            )
            place = f"{at}/tasks/{one['id']}"
            taken = await ask.post(place, json={"assignee": "me", "state": "doing"})
            assert [(t["assignee"], t["state"]) for t in taken.json()["tasks"]] == [("analyst", "doing")]
            problem(await ask.post(place, json={"state": "dropped"}), 422, "bad-input")
            problem(await ask.post(place, json={}), 422, "bad-input")
            done = await ask.post(place, json={"state": "done"}, headers={"if-match": taken.headers["etag"]})
            assert done.json()["tasks"][0]["state"] == "done"
            problem(await ask.post(f"{at}/tasks/tk-{'0' * 16}", json={"state": "done"}), 404, "not-found")
            problem(await ask.post(f"{at}/tasks", json=task | {"due": "soon"}), 422, "bad-input")
        async with asking(built, "viewer") as ask:
            problem(await ask.post(f"{at}/tasks", json=task), 403, "not-allowed")

    run(work)


def test_links_are_added_removed_and_added_again(built, incident):
    async def work():
        async with asking(built) as ask:
            at, url = f"/incidents/{incident.id}/links", "https://git.example/shop/pull/7"
            added = await ask.post(at, json={"url": url, "title": "The fix"})
            assert [(one["url"], one["kind"]) for one in added.json()["links"]] == [(url, "pull_request")]
            gone = await ask.post(f"{at}/remove", json={"url": url, "reason": "another incident's"})
            assert gone.json()["links"] == []
            problem(await ask.post(f"{at}/remove", json={"url": url, "reason": "x"}), 404, "not-found")
            assert len((await ask.post(at, json={"url": url})).json()["links"]) == 1
            problem(await ask.post(at, json={"url": "javascript:alert(1)"}), 422, "bad-input")
            told = (await ask.get(f"/incidents/{incident.id}/timeline", params={"kind": "link"})).json()[
                "items"
            ]
            assert [one["title"] for one in told] == ["The fix", "removed: The fix (another incident's)", url]

    run(work)


def test_an_incident_is_parted_merged_and_taken_apart_again(built, incident):
    async def work():
        async with asking(built) as ask:
            at, rule = f"/incidents/{incident.id}", incident.groups[-1].rule_id
            parted = await ask.post(f"{at}/split", json={"rules": [rule], "reason": "an exercise"})
            assert parted.status_code == 201, parted.text
            other = parted.json()["id"]
            assert other != incident.id
            rest = (await ask.get(at)).json()
            assert rest["split_into"] == [other]
            assert set(rest["alert_ids"]) | set(parted.json()["alert_ids"]) == set(incident.alert_ids)
            problem(await ask.post(f"{at}/split", json={"reason": "nothing"}), 422, "bad-input")
            problem(
                await ask.post(f"{at}/split", json={"entities": ["user:x"], "reason": "x"}), 422, "bad-input"
            )
            problem(
                await ask.post(f"{at}/split", json={"entities": ["thing:x"], "reason": "x"}), 422, "bad-input"
            )
            merged = await ask.post(f"{at}/merge", json={"other": other, "reason": "it was none"})
            assert set(merged.json()["alert_ids"]) == set(incident.alert_ids)
            gone = ({incident.id, other} - {merged.json()["id"]}).pop()
            problem(await ask.post(f"/incidents/{gone}/tasks", json={"title": "x"}), 409, "refused")
            problem(
                await ask.post(f"{at}/merge", json={"other": incident.id, "reason": "x"}), 422, "bad-input"
            )
            apart = await ask.post(f"/incidents/{gone}/unmerge", json={"reason": "after all"})
            assert apart.json()["id"] == gone
            assert apart.json()["merged_into"] == ""
        async with asking(built, "viewer") as ask:
            for what in ("split", "merge", "unmerge"):
                problem(
                    await ask.post(f"{at}/{what}", json={"other": other, "reason": "x"}), 403, "not-allowed"
                )

    run(work)


def test_a_review_begins_with_the_facts_and_its_actions_become_tasks(built, incident):
    async def work():
        async with asking(built) as ask:
            at = f"/incidents/{incident.id}/review"
            before = (await ask.get(at)).json()
            assert (before["recorded"], before["review"]) == (False, None)
            assert before["facts"]
            problem(await ask.post(at, json=REVIEW | {"contributing_causes": ["one"]}), 422, "refused")
            same = REVIEW | {"contributing_causes": ["the same", "The Same"]}
            assert "several causes" in problem(await ask.post(at, json=same), 422, "bad-input")["title"]
            kept = await ask.post(at, json=REVIEW)
            assert kept.status_code == 201, kept.text
            assert kept.json()["review"]["actor"] == "analyst"
            assert kept.json()["review"]["control_that_failed"] == "sessions never end"
            tasks = (await ask.get(f"/incidents/{incident.id}")).json()["tasks"]
            assert [(one["title"], one["assignee"]) for one in tasks] == [("End sessions", "ana")]
        async with asking(built, "viewer") as ask:
            assert (await ask.get(at)).json()["recorded"]
            problem(await ask.post(at, json=REVIEW), 403, "not-allowed")

    run(work)


def test_the_package_holds_is_told_of_and_is_for_who_says_what_for(built, incident, tmp_path):
    workspace = built.access.workspace
    (tmp_path / "mail.eml").write_bytes(b"From: maria\n\nhello")
    digest = incidents_evidence.collect(workspace, incident.id, tmp_path / "mail.eml", actor="ana")
    purpose = {"x-purpose": "for the court, case 17"}

    async def work():
        async with asking(built) as ask:
            at = f"/incidents/{incident.id}/evidence"
            (listed,) = (await ask.get(at)).json()
            assert (listed["id"], listed["holder"]) == (digest, "ana")
            body = {"reason": "for the court", "to": "the court"}
            told = problem(await ask.post(f"{at}/package", json=body), 403, "not-allowed")
            assert "personal data" in told["title"]
            problem(
                await ask.post(f"{at}/package", json=body, headers={"x-purpose": "short"}), 422, "bad-input"
            )
            problem(await ask.post(f"{at}/package", json={"reason": " "}, headers=purpose), 422, "refused")
            problem(
                await ask.post(f"{at}/package", json=body, headers=purpose | {"idempotency-key": "p"}),
                422,
                "bad-input",
            )
            made = await ask.post(f"{at}/package", json=body, headers=purpose)
            assert made.status_code == 200, made.text
            assert made.headers["content-type"] == "application/zip"
            assert made.headers["content-disposition"] == f'attachment; filename="{incident.id}.zip"'
            assert made.headers["cache-control"] == "no-store"
            assert int(made.headers["content-length"]) == len(made.content)
            (tmp_path / "package.zip").write_bytes(made.content)
            got = await ask.post(f"{at}/{digest}/read", json={"reason": "the header"}, headers=purpose)
            assert got.content == b"From: maria\n\nhello"
            assert got.headers["content-type"] == "application/octet-stream"
            problem(await ask.post(f"{at}/{digest}/read", json={"reason": "the header"}), 403, "not-allowed")
            strange = f"{at}/sha256:{'0' * 64}/read"
            problem(await ask.post(strange, json={"reason": "x"}, headers=purpose), 404, "not-found")
        for role in ("viewer", "admin", "privacy_officer"):
            async with asking(built, role) as ask:
                problem(await ask.post(f"{at}/package", json=body, headers=purpose), 403, "not-allowed")
                problem(await ask.get(at), 403, "not-allowed")

    run(work)
    report = verifier.verify(str(tmp_path / "package.zip"))
    assert report.ok, report.problems
    assert (report.incident, report.evidence) == (incident.id, 1)
    (piece,) = incidents_evidence.evidence(workspace, incident.id)
    assert [(step.act.value, step.actor, step.to) for step in piece.steps] == [
        ("collected", "ana", ""), ("exported", "analyst", "the court"), ("accessed", "analyst", "")
    ]  # fmt: skip
    reads = [
        one for one in built.access.journal.entries(kind="access.personal_read") if one.subject == incident.id
    ]
    assert [one.reason for one in reads if "/package" in one.payload["what"]] == ["for the court, case 17"]
    assert not list(workspace.state.glob("package-*"))


def test_cases_are_opened_filled_noted_closed_and_opened_again(built, incident):
    async def work():
        async with asking(built) as ask:
            made = await ask.post("/cases", json={"title": "Campaign"}, headers={"idempotency-key": "c"})
            assert made.status_code == 201, made.text
            at = f"/cases/{made.json()['id']}"
            assert (
                await ask.post("/cases", json={"title": "Campaign"}, headers={"idempotency-key": "c"})
            ).json() == made.json()
            seen = (await ask.get(at)).headers["etag"]
            filled = await ask.post(
                f"{at}/incidents", json={"incident": incident.id}, headers={"if-match": seen}
            )
            assert filled.json()["incidents"] == [incident.id]
            problem(
                await ask.post(f"{at}/assign", json={"owner": "ben"}, headers={"if-match": seen}),
                412,
                "changed-meanwhile",
            )
            problem(await ask.post(f"{at}/incidents", json={"incident": incident.id}), 409, "refused")
            noted = await ask.post(f"{at}/notes", json={"text": "the same sender"})
            assert [one["text"] for one in noted.json()["notes"]] == ["the same sender"]
            assert (await ask.post(f"{at}/assign", json={"owner": "ben"})).json()["owner"] == "ben"
            problem(await ask.post(f"{at}/close", json={"reason": "over"}), 409, "refused")
            told = await ask.get(f"/incidents/{incident.id}/timeline", params={"kind": "case"})
            assert "Campaign" in told.json()["items"][0]["title"]
            assert [one["id"] for one in (await ask.get("/cases")).json()["items"]] == [made.json()["id"]]
            taken = await ask.post(f"{at}/incidents/{incident.id}/remove", json={"reason": "another"})
            assert taken.json()["incidents"] == []
            closed = await ask.post(f"{at}/close", json={"reason": "over"})
            assert (closed.json()["open"], closed.json()["closed_because"]) == (False, "over")
            assert (await ask.get("/cases")).json()["items"] == []
            assert len((await ask.get("/cases", params={"state": "closed"})).json()["items"]) == 1
            assert (await ask.post(f"{at}/reopen", json={"reason": "again"})).json()["open"]
            problem(await ask.get(f"/cases/case-{'0' * 16}"), 404, "not-found")
        async with asking(built, "viewer") as ask:
            assert (await ask.get(at)).status_code == 200
            problem(await ask.post(f"{at}/notes", json={"text": "x"}), 403, "not-allowed")

    run(work)


def test_whoever_may_not_see_an_incident_sees_nothing_of_its_work(built, incident):
    async def work():
        async with asking(built) as ask:
            case = (await ask.post("/cases", json={"title": "Campaign"})).json()["id"]
            await ask.post(f"/cases/{case}/incidents", json={"incident": incident.id})
        hide(built)
        async with asking(built, "viewer") as ask:
            assert (await ask.get("/cases")).json()["items"] == []
            for path in (f"/cases/{case}", f"/incidents/{incident.id}/review"):
                assert problem(await ask.get(path), 403, "not-allowed")["title"] == "hidden from the viewer"
        async with asking(built) as ask:
            assert (await ask.get(f"/cases/{case}")).status_code == 200

    run(work)
