"""Stack traces of four languages, and the first frame of one's own code."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemnis.graph.code.stacktraces import Files, Frame, stacks

PYTHON = """2026-03-01 ERROR request failed
Traceback (most recent call last):
  File "/usr/local/lib/python3.12/site-packages/flask/app.py", line 2213, in __call__
    return self.wsgi_app(environ)
  File "/app/shop/web.py", line 4, in preview
    return labels.preview(q)
           ^^^^^^^^^^^^^^^^^
  File "/app/shop/labels.py", line 12, in preview
    return subprocess.run(command)
  File "<frozen importlib._bootstrap>", line 1, in _find
ValueError: bad
"""
NODE = """Error: nope
    at Object.run (node:internal/child_process:1:2)
    at preview (/usr/src/app/src/labels.js:3:9)
    at async /usr/src/app/src/web.js:10:3
    at next (/usr/src/app/node_modules/express/lib/router/route.js:144:13)
"""
JAVA = """Exception in thread "main" java.lang.RuntimeException: x
\tat org.springframework.web.A.b(A.java:1)
\tat com.shop.Web.show(Web.java:10)
Caused by: java.io.IOException: y
\tat java.base/java.io.F.open(F.java:1)
\tat com.shop.Labels.preview(Labels.java:14)
\t... 12 more
"""
GO = """panic: runtime error: index out of range
goroutine 1 [running]:
panic({0x1, 0x2})
\t/usr/local/go/src/runtime/panic.go:770 +0x132
main.(*Server).preview(0xc000)
\t/app/labels.go:12 +0x1d
created by net/http.(*Server).Serve in goroutine 1
\t/usr/local/go/src/net/http/server.go:3285 +0x4b4
"""
FILES = Files(
    ["shop/web.py", "shop/labels.py", "src/labels.js", "src/web.js", "src/main/java/com/shop/Labels.java",
     "src/main/java/com/shop/Web.java", "labels.go", "node_modules/express/lib/router/route.js"]
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "language", "error", "path", "line", "function"),
    [
        (PYTHON, "python", "ValueError: bad", "shop/labels.py", 12, "preview"),
        (NODE, "node", "Error: nope", "src/labels.js", 3, "preview"),
        (JAVA, "java", "Caused by: java.io.IOException: y", "src/main/java/com/shop/Labels.java", 14,
         "com.shop.Labels.preview"),
        (GO, "go", "panic: runtime error: index out of range", "labels.go", 12, "main.(*Server).preview"),
    ],
)  # fmt: skip
def test_the_first_frame_of_own_code(text, language, error, path, line, function):  # noqa: PLR0917 - as they stand in the table
    for told in (text, text.replace("\n", "\\n").replace("\t", "\\t")):
        stack = stacks(told)[-1]
        own = FILES.first(stack)
        assert (stack.language, stack.error) == (language, error)
        assert (own.paths, own.frame.line, own.frame.function) == ((path,), line, function)
        assert own.sure


def test_several_traces_in_one_text_stay_apart():
    found = stacks(PYTHON + NODE + JAVA + GO)
    assert [one.language for one in found] == ["python", "node", "java", "java", "go"]
    assert [[own.paths[0] for own in FILES.all(one)] for one in found] == [
        ["shop/labels.py", "shop/web.py"],
        ["src/labels.js", "src/web.js"],
        ["src/main/java/com/shop/Web.java"],
        ["src/main/java/com/shop/Labels.java"],
        ["labels.go"],
    ]


@pytest.mark.parametrize(
    "file",
    ["/usr/lib/python3/labels.py", "<frozen shop>", "/app/node_modules/x/labels.js", "/app/dist/app.min.js",
     "/venv/lib/python3.12/site-packages/shop/labels.py", "/elsewhere/unknown/labels.go", "/app/other.py"],
)  # fmt: skip
def test_what_is_nobodys_own(file):
    assert FILES.own(Frame(file, "f", 1)) is None


def test_a_file_that_may_be_several_is_not_sure():
    files = Files(["a/shop/labels.py", "b/shop/labels.py"])
    own = files.own(Frame("/app/shop/labels.py", "f", 1))
    assert own.paths == ("a/shop/labels.py", "b/shop/labels.py")
    assert not own.sure
    assert Files(["shop/labels.py"]).own(Frame("/deep/in/some/place/shop/labels.py", "f", 1)).sure is False
    assert files.own(Frame("/app/b/shop/labels.py", "f", 1)).paths == ("b/shop/labels.py",)


_PIECES = st.sampled_from(
    ["Traceback (most recent call last):", '  File "/app/a.py", line 1, in f', '  File "', "at ", "at a.b(C.java:1)",
     "    at f (/app/a.js:1:2)", "goroutine 1 [running]:", "main.f(0x1)", "\t/app/a.go:1 +0x1", "Caused by: ", "... 1",
     "created by ", "at (::)", "\0", "X: y", "", "at ²:1:1"]
)  # fmt: skip


@given(st.lists(_PIECES | st.text(max_size=20), max_size=40).map("\n".join))
def test_any_text(text):
    for stack in stacks(text):
        assert stack.frames
        for own in FILES.all(stack):
            assert own.paths
