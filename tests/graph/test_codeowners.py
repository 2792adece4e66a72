import pytest

from lemnis.graph.codeowners import owners

TEXT = """\
# the shop
*               @shop/all
*.js            @js
/build/logs/    @ops
docs/*          docs@example.org
apps/           @apps
/app/**/x.py    @deep @two
/app/free.py
**/gen          @gen
"""


@pytest.mark.parametrize(
    ("path", "who"),
    [
        ("README", ("@shop/all",)),
        ("a/b/c.js", ("@js",)),
        ("build/logs/x/y.log", ("@ops",)),
        ("deep/build/logs/x", ("@shop/all",)),
        ("docs/a.md", ("docs@example.org",)),
        ("docs/sub/a.md", ("@shop/all",)),
        ("x/apps/y", ("@apps",)),
        ("app/x.py", ("@deep", "@two")),
        ("app/a/b/x.py", ("@deep", "@two")),
        ("app/free.py", ()),
        ("a/gen/b", ("@gen",)),
    ],
)
def test_the_last_matching_line_wins(path, who):
    assert owners(TEXT, path).owners == who


def test_the_line_is_told():
    assert owners(TEXT, "a.js").line == 3
    assert owners("", "a.js").line == 0
