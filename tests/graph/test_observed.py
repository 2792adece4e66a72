import pyarrow as pa

from lemnis.graph.observed import containers, on_hosts, requests, started


def event(uid, activity, pid, at=0, container=None, *, host="n", **more):
    process = {"pid": pid, "cmd_line": "c", "path": "/p", "parent_process": {"pid": 1}, **more}
    if container:
        process["container"] = {
            "uid": container,
            "image": {"name": "r@sha256:aa", "uid": None},
            "name": "web",
        }
    return {"metadata": {"uid": uid}, "time": at, "activity_id": activity, "status_id": 1,
            "device": {"hostname": host}, "process": process}  # fmt: skip


def table(*rows):
    return pa.Table.from_pylist(list(rows))


def test_launches_that_are_no_containers_are_starts():
    rows = table(
        event("a", 1, 5), event("end", 2, 5), event("c", 1, 6, container="k", path=None), {**event("f", 1, 7), "status_id": 2}
    )  # fmt: skip
    [start] = started(rows)
    assert (start.uid, start.host, start.pid, start.parent, start.program) == ("a", "n", 5, 1, "/p")


def test_a_sensor_that_names_the_container_of_a_program_tells_of_both():
    kept = {"unmapped": '{"process.pod.namespace":"ops","process.pod.workload":"tuner"}'}
    rows = table({**event("sh", 1, 6, 10, "k"), **kept}, {**event("id", 1, 7, 20, "k"), **kept})
    assert [(one.uid, one.pid, one.program) for one in started(rows)] == [("sh", 6, "/p"), ("id", 7, "/p")]
    assert [(one.id, one.pid, one.workload) for one in containers([rows])] == [
        ("k", 6, "ops/tuner"),
        ("k", 7, "ops/tuner"),
    ]


def test_a_container_is_its_first_process_and_those_that_were_run_in_it():
    found = containers(
        [
            table(event("s", 1, 5, 10, "k"), event("x", 1, 9, 20, "k")),
            table(event("e", 2, 9, 30, "k"), event("create", 99, 5, 5, "k"), event("p", 1, 3)),
            table(event("z", 2, 0, 40, "k")),
        ]
    )
    assert [(one.pid, one.since, one.until, one.uids) for one in found] == [
        (5, 5, None, ("create", "s")),
        (9, 20, 30, ("x", "e")),
    ]
    assert {one.image_digest for one in found} == {"sha256:aa"}
    assert {one.workload for one in found} == {"web"}


def test_rows_of_some_hosts():
    rows = table(event("a", 1, 5), event("b", 1, 5, host="m"), event("c", 1, 5, host=None))
    assert on_hosts(rows, {"n"}).num_rows == 1
    assert on_hosts(rows, {"n", ""}).num_rows == 2
    assert on_hosts(table({"time": 1}), {"n"}).num_rows == 0


def test_requests_need_a_path():
    rows = table(
        {"metadata": {"uid": "a"}, "time": 1, "http_request": {"url": {"path": "/x", "query_string": "q=1"}}},
        {"metadata": {"uid": "b"}, "time": 2, "http_request": {"url": {"path": None, "query_string": None}}},
    )
    assert [(one.uid, one.path, one.query, one.client) for one in requests(rows)] == [("a", "/x", "q=1", "")]
