"""The server: what the editor says becomes questions to the desk, and its answers diagnostics and actions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lsprotocol import types
from pygls.lsp.server import LanguageServer
from pygls.uris import to_fs_path

import lemnis
from lemnis import app
from lemnis.app import editing, pipeline
from lemnis.contracts.alerts import Severity
from lemnis.contracts.errors import LemnisError
from lemnis.contracts.findings import Decision, Finding
from lemnis.interfaces.lsp import ranges

SUPPRESS = "lemnis.requestException"
TAKEN = "lemnis.fixTaken"
_PAUSE = 0.03
"""How long (s) to wait for the next key before a text is looked at."""
_LEVELS = {
    Severity.CRITICAL: types.DiagnosticSeverity.Error, Severity.HIGH: types.DiagnosticSeverity.Error,
    Severity.FATAL: types.DiagnosticSeverity.Error, Severity.MEDIUM: types.DiagnosticSeverity.Warning,
    Severity.LOW: types.DiagnosticSeverity.Information,
}  # fmt: skip


@dataclass(slots=True)
class Open:
    """A file that is open: its text's version, what was found in it, what the gate says of that."""

    uri: str
    path: str
    text: str
    version: int
    findings: list[Finding] = field(default_factory=list)
    decision: Decision | None = None
    work: asyncio.Task[None] | None = None


class Server(LanguageServer):
    """One editor's server; one folder."""

    def __init__(self, workspace: Path | None = None) -> None:
        super().__init__(
            "lemnis", lemnis.__version__, text_document_sync_kind=types.TextDocumentSyncKind.Incremental
        )
        self.asked = workspace
        self.editor = "editor"
        self.desk: editing.Desk | None = None
        self.files: dict[str, Open] = {}

    def begin(self, root: Path) -> None:
        """Open a folder; raises ContentError for content that does not hold."""
        found = self.asked or (root if (root / app.SETTINGS).is_file() else None)
        workspace = app.open_workspace(found) if found is not None else None
        repository = pipeline.repository_around(root)
        self.desk = editing.Desk.open(root, workspace, identity=lambda: editing.person(repository))
        self.desk.editor = self.editor

    def show(self, kind: types.MessageType, text: str) -> None:
        """Show a message to the person."""
        self.window_show_message(types.ShowMessageParams(kind, f"Lemnis: {text}"))

    def finding(self, uri: str, fingerprint: str) -> Finding | None:
        """Return a finding in a file that is open."""
        one = self.files.get(uri)
        return next((f for f in one.findings if f.fingerprint == fingerprint), None) if one else None

    def look(self, uri: str, *, saved: bool = False) -> None:
        """Look at a file soon; what was begun for an older text of it is given up."""
        one = self.files.get(uri)
        if one is None or self.desk is None:
            return
        if one.work is not None:
            one.work.cancel()
        one.work = asyncio.get_running_loop().create_task(self._look(one, self.desk, saved=saved))

    async def _look(self, one: Open, desk: editing.Desk, *, saved: bool) -> None:
        await asyncio.sleep(0 if saved else _PAUSE)
        version, text = one.version, one.text
        try:
            found = await asyncio.to_thread(desk.typed, one.path, text)
            self._tell(one, desk, version, found)
            if saved:
                more = await asyncio.to_thread(desk.saved, one.path)
                known = {finding.fingerprint for finding in found}
                found = [*found, *(f for f in more if f.fingerprint not in known)]
                self._tell(one, desk, version, found)
        except LemnisError as error:
            self.window_log_message(types.LogMessageParams(types.MessageType.Error, str(error)))

    def _tell(self, one: Open, desk: editing.Desk, version: int, found: list[Finding]) -> None:
        """Publish what was found, unless the text went on meanwhile."""
        if one.version != version or self.files.get(one.uri) is not one:
            return
        now = app.default_clock().now()
        one.findings, one.decision = found, desk.decision(found, now)
        desk.seen(found, now)
        lines = one.text.split("\n")
        told = [_diagnostic(finding, lines, one.decision) for finding in found]
        self.text_document_publish_diagnostics(types.PublishDiagnosticsParams(one.uri, told, version))


def _diagnostic(finding: Finding, lines: Sequence[str], decision: Decision) -> types.Diagnostic:
    refused = [r.policy for r in decision.reasons if r.finding == finding.fingerprint]
    words = f"{finding.title} (refused by {', '.join(refused)})" if refused else finding.title
    link = finding.help_uri if finding.help_uri.startswith("https://") else ""
    return types.Diagnostic(
        range=ranges.of_finding(finding, lines),
        message=words,
        severity=_LEVELS.get(finding.severity, types.DiagnosticSeverity.Hint),
        code=finding.rule_id,
        code_description=types.CodeDescription(link) if link else None,
        source=f"lemnis/{finding.tool}",
        data={"fingerprint": finding.fingerprint},
    )


def greet(server: Server, params: types.InitializeParams) -> None:
    """Remember which editor it is."""
    if params.client_info is not None:
        server.editor = params.client_info.name


def begin(server: Server, _params: types.InitializedParams) -> None:
    """Open the folder that the editor has open."""
    root = server.workspace.root_path
    try:
        server.begin(Path(root) if root else Path.cwd())
    except LemnisError as error:
        server.show(types.MessageType.Error, str(error))


def opened(server: Server, params: types.DidOpenTextDocumentParams) -> None:
    """Look at a file that was opened, if it is in the folder."""
    uri = params.text_document.uri
    path = to_fs_path(uri)
    if server.desk is None or path is None:
        return
    try:
        name = server.desk.relative(Path(path))
    except LemnisError:
        return  # a file of a library or of another project is none of ours
    server.files[uri] = Open(uri, name, params.text_document.text, params.text_document.version)
    server.look(uri, saved=True)


def changed(server: Server, params: types.DidChangeTextDocumentParams) -> None:
    """Look at a text that was changed."""
    uri = params.text_document.uri
    if uri in server.files:
        one = server.files[uri]
        one.text = server.workspace.get_text_document(uri).source
        one.version = params.text_document.version
        server.look(uri)


def saved(server: Server, params: types.DidSaveTextDocumentParams) -> None:
    """Let all scanners look at a file that was saved."""
    server.look(params.text_document.uri, saved=True)


def closed(server: Server, params: types.DidCloseTextDocumentParams) -> None:
    """Forget a file."""
    one = server.files.pop(params.text_document.uri, None)
    if one is not None and one.work is not None:
        one.work.cancel()


def hover(server: Server, params: types.HoverParams) -> types.Hover | None:
    """Say why what is found here matters."""
    one = server.files.get(params.text_document.uri)
    if one is None or server.desk is None or one.decision is None:
        return None
    lines = one.text.split("\n")
    here = [f for f in one.findings if _holds(ranges.of_finding(f, lines), params.position)]
    if not here:
        return None
    words = "\n\n---\n\n".join(server.desk.why(finding, one.decision) for finding in here)
    return types.Hover(types.MarkupContent(types.MarkupKind.Markdown, words))


def actions(server: Server, params: types.CodeActionParams) -> list[types.CodeAction]:
    """Say what can be done about what is found here."""
    uri = params.text_document.uri
    one = server.files.get(uri)
    if one is None or one.decision is None:
        return []
    lines = one.text.split("\n")
    here = [f for f in one.findings if _meets(ranges.of_finding(f, lines), params.range)]
    return [action for finding in here for action in _actions(uri, finding, lines, one.decision)]


def request(server: Server, *arguments: Any) -> dict[str, str]:
    """Ask for an exception: uri, fingerprint, policy, reason, days."""
    uri, fingerprint, policy, reason, days = (*arguments, *("", "", "", "", 30)[len(arguments) :])[:5]
    found = server.finding(str(uri), str(fingerprint))
    if server.desk is None or found is None:
        return {"error": "no such finding in a file that is open"}
    now = app.default_clock().now()
    try:
        path = server.desk.request(found, str(policy), reason=str(reason), days=int(days), now=now)
    except (LemnisError, ValueError) as error:
        server.show(types.MessageType.Error, str(error))
        return {"error": str(error)}
    server.desk.tell("exception.requested", found, now=now, decision="asked")
    server.show(types.MessageType.Info, f"asked for an exception in {path}; somebody else approves it")
    return {"file": str(path)}


def taken(server: Server, *arguments: Any) -> None:
    """Write down that a fix was taken: uri, fingerprint."""
    uri, fingerprint = (*arguments, "", "")[:2]
    found = server.finding(str(uri), str(fingerprint))
    if server.desk is not None and found is not None:
        server.desk.tell("fix.taken", found, now=app.default_clock().now())


_FEATURES: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        types.INITIALIZE: greet, types.INITIALIZED: begin, types.TEXT_DOCUMENT_DID_OPEN: opened,
        types.TEXT_DOCUMENT_DID_CHANGE: changed, types.TEXT_DOCUMENT_DID_SAVE: saved,
        types.TEXT_DOCUMENT_DID_CLOSE: closed, types.TEXT_DOCUMENT_HOVER: hover,
    }
)  # fmt: skip


def make(workspace: Path | None = None) -> Server:
    """Make a server; ``workspace`` decides in place of the one in the folder that is opened."""
    server = Server(workspace)
    for name, handler in _FEATURES.items():
        server.feature(name)(handler)
    kinds = types.CodeActionOptions(code_action_kinds=[types.CodeActionKind.QuickFix])
    server.feature(types.TEXT_DOCUMENT_CODE_ACTION, kinds)(actions)
    server.command(SUPPRESS)(request)
    server.command(TAKEN)(taken)
    return server


def _actions(uri: str, finding: Finding, lines: Sequence[str], decision: Decision) -> list[types.CodeAction]:
    """Return what can be done about a finding: mend it, or ask for an exception."""
    about = [_diagnostic(finding, lines, decision)]
    made = []
    if finding.edits and all(edit.path in {"", finding.path} for edit in finding.edits):
        edits = [types.TextEdit(ranges.of_edit(edit, lines), edit.text) for edit in finding.edits]
        made.append(
            types.CodeAction(
                title=f"Lemnis: {finding.fix or 'mend'} ({finding.rule_id})",
                kind=types.CodeActionKind.QuickFix, diagnostics=about, is_preferred=True,
                edit=types.WorkspaceEdit(changes={uri: edits}),
                command=types.Command("taken", TAKEN, arguments=[uri, finding.fingerprint]),
            )
        )  # fmt: skip
    made += [
        types.CodeAction(
            title=f"Lemnis: ask for an exception from {reason.policy}, for a month",
            kind=types.CodeActionKind.QuickFix, diagnostics=about,
            command=types.Command(
                "ask", SUPPRESS,
                arguments=[uri, finding.fingerprint, reason.policy, f"asked in the editor: {finding.title}"],
            ),
        )
        for reason in decision.reasons if reason.finding == finding.fingerprint
    ]  # fmt: skip
    return made


def _holds(found: types.Range, at: types.Position) -> bool:
    return (found.start.line, found.start.character) <= (at.line, at.character) <= (
        found.end.line, found.end.character,
    )  # fmt: skip


def _meets(found: types.Range, asked: types.Range) -> bool:
    return found.start.line <= asked.end.line and asked.start.line <= found.end.line
