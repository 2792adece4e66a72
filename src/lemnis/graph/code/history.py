"""Who wrote a line, and how far the history that says so can be trusted.

``git blame`` names the commit that last touched a line among those that the deployed one builds on; renames
are followed. Four things make that less than a record, and each is told: history that ends there because it
was cut off, a commit that squashed others, a commit that no branch leads to any more, and one that stands on
a branch in another copy (the same patch, rebased or picked).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.clock import to_iso
from lemnis.contracts.ids import Json
from lemnis.contracts.provenance import Edge, Strength
from lemnis.store.git import BlameLine, Commit, Repository

MOST_REFS, MOST_COMMITS = 20, 500
"""So many unmerged branches, and commits of a file, are looked through for a copy."""
_SQUASHED = "Squashed commit of the following:"
_PAIR = 2


@dataclass(frozen=True, slots=True)
class Written:
    """Who wrote a line: the commit by blame, how far that holds, why not further, and the copies found.

    ``original`` wrote the line in the branch that was squashed; ``renamed`` is the file's name in the commit
    where that was another.
    """

    blame: BlameLine
    strength: Strength
    reasons: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()
    original: Commit | None = None
    renamed: str = ""

    def weaken(self, edge: Edge) -> Edge:
        """Return an ``introduced_by`` edge no stronger than this, with the reasons in its evidence."""
        facts: dict[str, Json] = {}
        if self.reasons:
            facts["weaker"] = list(self.reasons)
        if self.copies:
            facts["copies"] = list(self.copies)
        if self.original is not None:
            one = self.original
            facts["squashed"] = {
                "commit": one.id, "author": f"{one.author} <{one.email}>", "at": to_iso(one.at),
                "subject": one.subject,
            }  # fmt: skip
        if self.renamed:
            facts["renamed_from"] = self.renamed
        return Edge(
            edge.source, edge.target, edge.relation, edge.method, min(edge.strength, self.strength),
            {**edge.evidence, **facts}, edge.valid_from, edge.valid_to,
        )  # fmt: skip


def written(repository: Repository, deployed: str, path: str, line: int) -> Written:
    """Return who wrote a line as it stands in the deployed commit. Raises InputError where it does not."""
    blame = repository.blame(deployed, path, line)
    renamed = blame.path if blame.path != path else ""
    reasons: list[str] = []
    strength = Strength.RECORDED
    copies: tuple[str, ...] = ()
    original: Commit | None = None
    if repository.cut(blame.commit):
        strength = Strength.NAME_MATCH
        reasons.append("the history here ends at this commit (a shallow copy): the line may be older")
    elif not repository.reachable(blame.commit):
        copies = repository.copies(blame.commit, blame.path, MOST_COMMITS)
        strength = Strength.LABEL if len(copies) == 1 else Strength.NAME_MATCH
        reasons.append(_rewritten(copies))
    else:
        tip, original = _squashed(repository, blame)
        if tip or _says_squashed(repository.message(blame.commit)):
            strength = Strength.LABEL
            told = (
                f"there {original.author} wrote the line" if original else "who of them wrote it is not known"
            )
            reasons.append(f"the commit squashed others; {told}")
    return Written(blame, strength, tuple(reasons), copies, original, renamed)


def deployed(repository: Repository, commit: str) -> tuple[str, tuple[str, ...]]:
    """Say what is wrong with a commit that was built: that no branch or tag leads to it; and its copies.

    Its content is not in doubt: its name is the hash of that.
    """
    if repository.reachable(commit):
        return "", ()
    copies = repository.copies(commit, "", MOST_COMMITS)
    return _rewritten(copies), copies


def authored(commit: Commit) -> Edge:
    """Return the edge to who a commit says that its author is: anyone may write that, so it is a label."""
    name = commit.email.casefold() or commit.author
    return Edge(
        Entity(EntityKind.COMMIT, commit.id), Entity(EntityKind.PERSON, name or "?"), "authored_by",
        "git_author",
        Strength.LABEL, {"name": commit.author, "at": to_iso(commit.at), "subject": commit.subject},
    )  # fmt: skip


def _rewritten(copies: Sequence[str]) -> str:
    told = "no branch or tag leads to this commit: history was rewritten"
    if not copies:
        return f"{told}, and no commit that is left has the same patch"
    if len(copies) == 1:
        return f"{told}; {copies[0][:12]} has the same patch"
    return f"{told}; several have the same patch: {', '.join(one[:12] for one in copies)}"


def _squashed(repository: Repository, blame: BlameLine) -> tuple[str, Commit | None]:
    """Return the branch whose changes together are the commit's patch, and who wrote the line there."""
    parents = repository.parents(blame.commit)
    if len(parents) != 1:
        return "", None
    refs = repository.refs_without(blame.commit, MOST_REFS)
    patch = repository.patch(parents[0], blame.commit) if refs else ""
    for tip in refs:
        base = repository.merge_base(parents[0], tip)
        if not patch or not base or base == tip or repository.patch(base, tip) != patch:
            continue
        if len(repository.between(f"{base}..{tip}")) < _PAIR:
            continue  # one commit, picked: that is no squash
        number = _same_line(repository, tip, blame)
        if number:
            first = repository.blame(tip, blame.path, number)
            return tip, next((one for one in repository.commits(tip) if one.id == first.commit), None)
        return tip, None
    return "", None


def _same_line(repository: Repository, tip: str, blame: BlameLine) -> int:
    """Return a line's number in another commit's file; 0 if its text is not there just once."""
    lines = repository.read(tip, blame.path).decode(errors="replace").splitlines()
    if blame.line <= len(lines) and lines[blame.line - 1] == blame.text:
        return blame.line
    found = [number for number, text in enumerate(lines, 1) if text == blame.text]
    return found[0] if len(found) == 1 else 0


def _says_squashed(message: str) -> bool:
    """Say whether a message is one that forges and git write when they squash."""
    subject, _, body = message.partition("\n")
    lines = [line.strip() for line in body.splitlines()]
    listed = sum(line.startswith("* ") for line in lines)
    others = {line.casefold() for line in lines if line.casefold().startswith("co-authored-by:")}
    numbered = subject.rstrip().endswith(")") and "(#" in subject
    return _SQUASHED in message or len(others) > 1 or (numbered and (listed > 1 or bool(others)))
