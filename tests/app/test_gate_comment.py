import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lemnis.app import gate_comment
from lemnis.contracts.errors import RefusedError, ServiceError, UsageError


class GitHub(BaseHTTPRequestHandler):
    """As much of GitHub as comments need; ``server.comments`` are those that there are."""

    def answer(self, status, document, headers=()):
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def failing(self):
        self.server.asked.append((self.command, self.headers["Authorization"]))
        if self.server.failures:
            self.answer(*self.server.failures.pop(0))
            return True
        return False

    def do_GET(self):
        if not self.failing():
            page = int(self.path.partition("page=")[2].rpartition("page=")[2] or 1)
            self.answer(200, self.server.comments[(page - 1) * 100 : page * 100])

    def body(self):
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"]

    def do_POST(self):
        body = self.body()
        if self.server.limit_posts:
            self.answer(*self.server.limit_posts.pop(0))
        elif not self.failing():
            made = {"id": len(self.server.comments), "body": body, "html_url": "https://x/1"}
            self.server.comments.append(made)
            self.answer(201, made)

    def do_PATCH(self):
        body = self.body()
        if not self.failing():
            made = self.server.comments[int(self.path.rpartition("/")[2])]
            made["body"] = body
            self.answer(200, made)

    def log_message(self, *_arguments):
        """Say nothing."""


@pytest.fixture
def github():
    server = ThreadingHTTPServer(("127.0.0.1", 0), GitHub)
    server.comments, server.failures, server.asked, server.limit_posts = [], [], [], []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def job(github, **changes):
    said = {
        "GITHUB_REF": "refs/pull/7/merge", "GITHUB_REPOSITORY": "example/shop", "GITHUB_TOKEN": "t0ken",
        "GITHUB_API_URL": f"http://127.0.0.1:{github.server_address[1]}", **changes,
    }  # fmt: skip
    return gate_comment.pull_request(said)


def test_there_is_one_comment_and_it_changes(github):
    github.comments = [{"id": n, "body": "somebody's"} for n in range(130)]
    assert gate_comment.comment(job(github), "denied") == "https://x/1"
    gate_comment.comment(job(github), "allowed")
    gate_comment.comment(job(github), "allowed")
    mine = [one["body"] for one in github.comments if one["body"].startswith(gate_comment.MARK)]
    assert mine == [f"{gate_comment.MARK}\nallowed"]
    assert [kind for kind, _ in github.asked if kind != "GET"] == ["POST", "PATCH"]
    assert {token for _, token in github.asked} == {"Bearer t0ken"}


def test_a_long_answer_is_cut_at_a_line(github):
    gate_comment.comment(job(github), "line\n" * 40_000)
    assert len(github.comments[0]["body"]) < gate_comment.MAX_BODY + 50
    assert github.comments[0]["body"].endswith("(more than fits here)\n")


@pytest.mark.parametrize(
    ("failures", "error"),
    [
        ([(500, b"x")], None),
        ([(500, b"x")] * 3, ServiceError),
        ([(403, {})], RefusedError),
        ([(200, b"<html>")], ServiceError),
    ],
)
def test_what_goes_wrong_is_tried_again_or_told(github, failures, error):
    github.failures = list(failures)
    if error is None:
        gate_comment.comment(job(github), "x")
        assert len(github.comments) == 1
    else:
        with pytest.raises(error):
            gate_comment.comment(job(github), "x")
        assert github.comments == []


@pytest.mark.parametrize(
    ("limit", "waited"),
    [
        ((429, b"slow down", [("Retry-After", "7")]), 7),
        ((403, {"message": "You have exceeded a secondary rate limit"}), 60),
        ((403, {}, [("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "1")]), 1),
    ],
)
def test_a_limit_is_waited_for_and_the_comment_is_written_once(github, limit, waited):
    slept = []
    github.failures = [limit]
    gate_comment.comment(job(github), "x", sleep=slept.append)  # the list of comments
    original, github.comments[:] = list(github.comments), []

    def then_limit(seconds):
        slept.append(seconds)

    github.limit_posts = [limit]
    gate_comment.comment(job(github), "x", sleep=then_limit)
    assert slept == [waited, waited]
    assert len(github.comments) == len(original) == 1


def test_a_limit_that_lasts_is_told(github):
    github.failures = [(429, b"", [("Retry-After", "3600")])]
    with pytest.raises(ServiceError, match="limit lasts 3600 s"):
        gate_comment.comment(job(github), "x", sleep=pytest.fail)
    github.failures = [(429, b"")] * 3
    with pytest.raises(ServiceError, match="limit lasts 60 s"):
        gate_comment.comment(job(github), "x", sleep=lambda _: None)


@pytest.mark.parametrize("rubbish", [{"message": "hello"}, "text", 7, None])
def test_what_is_no_list_of_comments_is_told(github, rubbish):
    github.failures = [(200, rubbish)]
    with pytest.raises(ServiceError, match="a list of comments"):
        gate_comment.comment(job(github), "x")
    assert github.comments == []


@pytest.mark.parametrize(
    "changes",
    [
        {"GITHUB_REF": "refs/heads/main"},
        {"GITHUB_REPOSITORY": "example/shop/../../x"},
        {"GITHUB_TOKEN": ""},
        {"GITHUB_API_URL": "http://evil.example"},
    ],
)
def test_a_job_without_a_pull_request_or_a_safe_way_is_wrong_use(github, changes):
    with pytest.raises(UsageError):
        job(github, **changes)
