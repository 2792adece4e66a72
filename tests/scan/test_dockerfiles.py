"""What a Dockerfile says of its image: base and own files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemnis.contracts.resources import UNKNOWN
from lemnis.scan.dockerfiles import Image, fits, read

D = "sha256:" + "a1" * 32


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("FROM a:1\nCOPY . /srv\n", Image("a:1", 1, ("/srv",))),
        ("FROM a\nWORKDIR /srv\nWORKDIR app\nCOPY shop/ shop/\n", Image("a", 1, ("/srv/app/shop",))),
        ("FROM a\nCOPY one.py two.py /srv/\n", Image("a", 1, ("/srv/one.py", "/srv/two.py"))),
        ("FROM a\nCOPY entry.sh /entry\n", Image("a", 1, ("/entry",))),
        ('FROM a\nADD ["x y.sh", "/opt/"]\n', Image("a", 1, ("/opt/x y.sh",))),
        ("FROM a\nRUN apt-get install x\n", Image("a", 1, runs=True)),
        (
            'FROM a\nENTRYPOINT ["tini", "--"]\nCMD ["python3", "-m", "shop"]\n',
            Image("a", 1, command="python3 -m shop"),
        ),
        ('FROM a\nENTRYPOINT ["/entry"]\n', Image("a", 1, command="/entry")),
        (f"ARG V=3\nFROM p:${{V}}@{D}\n", Image(f"p:3@{D}", 2)),
        ("ARG V\nFROM p:$V\n", Image(UNKNOWN, 2)),
        ("FROM x AS web\nCOPY web /w\nFROM a AS end\nCOPY --from=web /w /srv/\n", Image("a", 3, ("/srv",))),
        ("FROM a AS Base\nCOPY b /b\nFROM base\nCOPY c /c\n", Image("a", 1, ("/b", "/c"))),
        ("FROM a\nCOPY b /b\nFROM 0\nCOPY c /c\n", Image("a", 1, ("/b", "/c"))),
        ("RUN x\n", None),
        ("", None),
    ],
)
def test_an_image_is_the_last_stage_and_its_base_is_where_stages_leave_the_file(text, image):
    assert read(text) == image


def test_an_image_holds_what_lies_below_what_was_copied():
    image = Image("a", 1, ("/srv/shop", "/entry.sh"))
    assert image.holds("/srv/shop/web.py")
    assert image.holds("/entry.sh")
    assert not image.holds("/srv/shopping/web.py")
    assert not image.holds("/usr/local/bin/entry.sh")
    assert Image("a", 1, ("/",)).holds("/anything")


def test_dockerfiles_are_known_by_their_names():
    assert [
        path
        for path in ("Dockerfile", "a/Dockerfile.dev", "web.Dockerfile", "Containerfile")
        if not fits(path)
    ] == []
    assert [path for path in ("Dockerfiles/x", "docs/dockerfile.md", "compose.yaml") if fits(path)] == []


@given(st.text(alphabet='FROMCPYADN \nas:@/$\\<"[].,', max_size=80))
def test_any_text_is_read(text):
    found = read(text)
    assert found is None or found.line >= 1
