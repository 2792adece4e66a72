import pytest

from lemnis.app.content import lint
from lemnis.content import yaml
from lemnis.content.library import Library
from lemnis.content.schemas.lesson import Lesson
from lemnis.content.schemas.threat import Threat
from lemnis.contracts.errors import ContentError

THREAT = """\
id: label_runs_commands
title: A label runs a stranger's command
element: shop/shop-web
entry_point: /labels/preview
cwes: [78]
techniques: [T1059.004]
state: realised
incidents: [in-1]
mitigations: {gate: g, detection: d, lesson: 2026-1a2b}
owner: "@shop/shipping"
"""
LESSON = """\
id: 2026-1a2b3c
incident: in-1
title: t
cause:
  repository: shop
  commit: {commit}
  path: shop/labels.py
  line: 4
gate: g
detection: d
threat: t
old_digest: sha256:{digest}
""".replace("{commit}", "a" * 40).replace("{digest}", "b" * 64)


def test_good_ones_are_read():
    assert yaml.load(THREAT, Threat).mitigations.gate == "g"
    assert yaml.load(LESSON, Lesson).cost.alerts_added == 0


@pytest.mark.parametrize(
    ("model", "old", "new", "place", "word"),
    [
        (Threat, "state: realised", "state: solved", "threat.yaml:7:8", "state"),
        (Threat, "T1059.004", "1059", "threat.yaml:6:14", "techniques.0"),
        (Threat, "cwes: [78]", "cwes: [CWE-78]", "threat.yaml:5:8", "cwes.0"),
        (Threat, "incidents: [in-1]", "incidents: []", "threat.yaml:1:1", "names the incident"),
        (Threat, "owner:", "owners:", "threat.yaml:10:9", "owners"),
        (Lesson, "line: 4", "line: 0", "threat.yaml:8:9", "cause.line"),
        (Lesson, "a" * 40, "a" * 39, "threat.yaml:6:11", "cause.commit"),
        (Lesson, "gate: g", "gate: ../g", "threat.yaml:9:7", "gate"),
    ],
)
def test_mistakes_have_a_place(model, old, new, place, word):
    text = (THREAT if model is Threat else LESSON).replace(old, new)
    with pytest.raises(ContentError) as error:
        yaml.load(text, model, file="threat.yaml")
    assert str(error.value.at) == place
    assert word in str(error.value)


@pytest.mark.parametrize(
    ("kind", "file", "text"), [("threats", "threat.yaml", THREAT), ("lessons", "lesson.yaml", LESSON)]
)
def test_lint_reads_them(tmp_path, kind, file, text):
    (tmp_path / kind / "x").mkdir(parents=True)
    place = tmp_path / kind / "x" / file
    place.write_text(text)
    assert list(lint(Library.open(tmp_path), kind)) == []
    place.write_text(text + "more: 1\n")
    [problem] = lint(Library.open(tmp_path), kind)
    assert str(problem.at).startswith(f"{place}:")
    assert "more" in problem.what


def test_a_cause_is_a_line_or_an_image():
    image = LESSON.replace(
        LESSON[LESSON.index("  repository") : LESSON.index("gate:")], f"  image: sha256:{'c' * 64}\n"
    )
    assert yaml.load(image, Lesson).cause.line == 0
    with pytest.raises(ContentError, match="a cause is a line"):
        yaml.load(LESSON.replace("gate:", f"  image: sha256:{'c' * 64}\ngate:"), Lesson)
