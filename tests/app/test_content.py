import pytest

from lemnis.app import content
from lemnis.content.library import KINDS, REFERENCE, Library

WRONG = {
    "scanners": "scanner.yaml", "policies": "policy.yaml", "threats": "threat.yaml", "lessons": "lesson.yaml",
    "correlations": "grouping.yaml", "sources": "source.yaml", "detections": "rule.yml",
    "playbooks": "playbook.yaml", "checks": "check.yaml",
}  # fmt: skip


def test_what_is_built_in_holds():
    assert content.lint_all(Library.open()) == []


@pytest.mark.parametrize(("kind", "manifest"), WRONG.items())
def test_every_kind_is_checked_and_names_its_file(tmp_path, kind, manifest):
    folder = tmp_path / kind / "broken"
    folder.mkdir(parents=True)
    (folder / manifest).write_text("frobnicate: [1\n")
    problems = list(content.lint(Library.open(tmp_path), kind))
    assert [problem.at.file for problem in problems] == [str(folder / manifest)]
    assert problems[0].at.line


@pytest.mark.parametrize(
    "path", ["actions/a/b.yaml", "exceptions/a.yaml", *(f"{kind}/a.yaml" for kind in REFERENCE)]
)
def test_single_files_are_checked(tmp_path, path):
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_text("frobnicate: 1\n")
    [problem] = content.lint(Library.open(tmp_path), path.partition("/")[0])
    assert problem.at.file == str(file)


def test_every_kind_has_somebody_who_reads_it():
    assert set(KINDS) - set(content.loaders()) == {"sources", "detections", "exceptions", *REFERENCE}
