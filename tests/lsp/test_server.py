"""A real client starts the real server and edits a file."""

import ast
import asyncio
import sys
from pathlib import Path

import orjson
import pytest
from lsprotocol import types
from pygls.lsp.client import LanguageClient

from lemnis import app
from lemnis.app import editing, policies
from lemnis.contracts.alerts import Severity
from lemnis.contracts.errors import UsageError
from lemnis.contracts.findings import Finding, Kind
from lemnis.interfaces.cli import run
from lemnis.scan.runner import scan
from lemnis.store.git import Repository

LEMNIS = Path(sys.executable).with_name("lemnis")
BAD = "import subprocess\n\n\ndef f(name):\n    subprocess.run('echo ' + name, shell=True)\n"
WORKFLOW = "on: pull_request\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: echo ${{ github.event.pull_request.title }}\n"


class Editor(LanguageClient):
    """A client that keeps what the server tells."""

    def __init__(self):
        super().__init__("test-editor", "1")
        self.told = asyncio.Queue()
        self.shown = []

        @self.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        def diagnostics(params):
            self.told.put_nowait(params)

        @self.feature(types.WINDOW_SHOW_MESSAGE)
        def message(params):
            self.shown.append(params.message)

    async def next(self, wanted, *, seconds=60):
        """Return the next diagnostics for which ``wanted`` holds."""
        async with asyncio.timeout(seconds):
            while True:
                told = await self.told.get()
                if wanted(told):
                    return told

    async def begin(self, root):
        await self.start_io(str(LEMNIS), "lsp", "-w", str(root))
        await self.initialize_async(
            types.InitializeParams(
                types.ClientCapabilities(),
                root_uri=root.as_uri(),
                client_info=types.ClientInfo("test-editor"),
            )
        )
        self.initialized(types.InitializedParams())

    def open(self, path, text):
        item = types.TextDocumentItem(path.as_uri(), "python", 1, text)
        self.text_document_did_open(types.DidOpenTextDocumentParams(item))

    def type(self, path, text, version):
        whole = types.TextDocumentContentChangeWholeDocument(text)
        about = types.VersionedTextDocumentIdentifier(version=version, uri=path.as_uri())
        self.text_document_did_change(types.DidChangeTextDocumentParams(about, [whole]))


@pytest.fixture
def shop(tmp_path):
    made = Repository.create(tmp_path / "shop")
    (made.path / "CODEOWNERS").write_text("*.py @example/shop\n")
    made.commit_all("c", author="A <a@example.org>", at=0)
    app.init(made.path)
    return made.path


def test_an_editor_is_told_as_it_types_and_asks_for_an_exception(shop):
    asyncio.run(play(shop))
    [request] = (shop / "requests").iterdir()
    assert run(["policies", "approve", str(request), "--as", editing.person(None), "-w", str(shop)]) == 2
    assert run(["policies", "approve", str(request), "--as", "lead@example.org", "-w", str(shop)]) == 0
    [exempt] = policies.exceptions(app.library(app.open_workspace(shop)))
    assert (exempt.policy, exempt.stages[0]) == ("new_findings_below_medium", "editor")
    events = [orjson.loads(line) for line in (shop / ".lemnis/editor/events.jsonl").read_bytes().splitlines()]
    assert [event["event"] for event in events] == ["exception.requested"]
    assert events[0]["editor"]["name"] == "test-editor"
    assert (
        run(["ingest", "editor_event", str(shop / ".lemnis/editor/events.jsonl"), "-w", str(shop), "--json"])
        == 0
    )


async def play(shop):
    editor = Editor()
    await editor.begin(shop)
    path = shop / "app.py"
    editor.open(path, "x = 1\n")
    await editor.next(lambda told: not told.diagnostics and told.version == 1)
    editor.type(path, BAD, 2)
    told = await editor.next(lambda told: told.version == 2)
    [found] = [one for one in told.diagnostics if one.code == "S602"]
    assert found.range.start.line == 4
    assert found.severity == types.DiagnosticSeverity.Error
    assert "refused by new_findings_below_medium" in found.message
    about = types.TextDocumentIdentifier(path.as_uri())
    hover = await editor.text_document_hover_async(types.HoverParams(about, found.range.start))
    assert "CWE-78" in hover.contents.value
    assert "Owner: @example/shop" in hover.contents.value
    context = types.CodeActionContext([found])
    actions = await editor.text_document_code_action_async(
        types.CodeActionParams(about, found.range, context)
    )
    ask = next(one for one in actions if "exception" in one.title)
    command = ast.literal_eval(ask.command)  # this client takes every action for a command
    said = await editor.workspace_execute_command_async(
        types.ExecuteCommandParams(command["command"], command["arguments"])
    )
    assert "requests" in said["file"]
    editor.type(path, "x = 1\n", 3)
    assert not (await editor.next(lambda told: told.version == 3)).diagnostics
    workflow = shop / ".github/workflows/x.yml"
    editor.open(workflow, WORKFLOW)
    told = await editor.next(lambda told: told.uri == workflow.as_uri() and told.diagnostics)
    assert any("injection" in one.message.lower() for one in told.diagnostics)
    await editor.shutdown_async(None)
    editor.exit(None)
    await editor.stop()


def test_a_request_must_say_why_and_end(shop, tmp_path):
    one = Finding("fp-0123456789abcdef", "t", "r", "t", Severity.HIGH, "a.py", 1, 1)
    desk = editing.Desk.open(shop, app.open_workspace(shop), identity=lambda: "anna")
    for reason, days in (("short", 30), ("long enough a reason", 900)):
        with pytest.raises(UsageError):
            desk.request(one, "p", reason=reason, days=days, now=0)
    with pytest.raises(UsageError, match="not in the folder"):
        desk.relative(tmp_path / "elsewhere.py")
    alone = editing.Desk.open(tmp_path, None, identity=lambda: "anna")
    with pytest.raises(UsageError, match="workspace"):
        alone.request(one, "p", reason="long enough a reason", days=3, now=0)
    alone.tell("secret.typed", one, now=0)
    assert not (tmp_path / ".lemnis").exists()


def test_what_is_typed_is_looked_at_under_its_own_name(shop):
    desk = editing.Desk.open(shop, app.open_workspace(shop), identity=lambda: "anna")
    found = desk.typed("a/b/app.py", BAD)
    assert {one.path for one in found} == {"a/b/app.py"}
    assert desk.typed("a.py", "x" * 3_000_000) == []
    assert not (shop / "a").exists()


def test_a_secret_is_seen_where_it_is_typed_and_told_once(shop):
    desk = editing.Desk.open(shop, app.open_workspace(shop), identity=lambda: "anna")
    text = "x = 1\nkey = 'AKIAIOSFODNN7EXAMPLF'\n"
    for _ in range(2):
        found = [one for one in desk.typed("a.py", text) if one.kind is Kind.SECRET]
        assert [(one.rule_id, one.line) for one in found] == [("AWS Access Key", 2)]
        desk.seen(found, 0)
    [event] = map(orjson.loads, (shop / ".lemnis/editor/events.jsonl").read_bytes().splitlines())
    assert (event["event"], event["file"]["path"]) == ("secret.typed", "a.py")
    assert b"AKIA" not in (shop / ".lemnis/editor/events.jsonl").read_bytes()
    assert [one for one in desk.typed("a.py", "x = 1\n") if one.kind is Kind.SECRET] == []


def test_terraform_is_judged_with_its_module_as_it_is_typed(tmp_path):
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "variables.tf").write_text('variable "e" {\n  default = false\n}\n')
    bucket = 'resource "aws_s3_bucket_public_access_block" "b" {\n  bucket = aws_s3_bucket.b.id\n}\n'
    (tmp_path / "infra" / "block.tf").write_text(bucket)
    text = 'resource "aws_ebs_volume" "a" {\n  encrypted = var.e\n}\nresource "aws_s3_bucket" "b" {}\n'
    (tmp_path / "infra" / "main.tf").write_text(text)
    desk = editing.Desk.open(tmp_path, None, identity=lambda: "anna")
    typed = {one.rule_id: one for one in desk.typed("infra/main.tf", text)}
    assert typed["aws_ebs_unencrypted"].line == 2
    assert "aws_s3_no_public_access_block" not in typed
    (module,) = [one for one in desk.own if one.name == "lemnis_modules"]
    built = {one.fingerprint for one in scan(tmp_path, (), [module]).report.findings}
    assert {one.fingerprint for one in typed.values() if one.tool == "lemnis_modules"} <= built


def test_a_saved_file_in_a_folder_has_the_fingerprints_of_the_build(tmp_path):
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "Dockerfile").write_text("FROM a\nUSER root\n")
    desk = editing.Desk.open(tmp_path, None, identity=lambda: "anna")
    files = [one for one in desk.own if one.name == "lemnis"]
    built = {one.fingerprint for one in scan(tmp_path, (), files).report.findings}
    saved = {one.fingerprint for one in desk.saved("app/Dockerfile") if one.tool == "lemnis"}
    assert built
    assert saved == built
