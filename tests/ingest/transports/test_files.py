"""Files that are followed: whatever happens to their names, each line once; what breaks costs only itself."""

import asyncio
import gzip
import os
from pathlib import Path
from typing import Any

import pytest
import zstandard

from lemnis.contracts.clock import SystemClock
from lemnis.ingest.transports import Setup, _tailing, files, get
from lemnis.testing.receiver import MemoryReceiver, running, until


def follower(root: Path, *paths: str, **settings: Any) -> Any:
    kind = get("files")
    given = {"paths": paths or ("logs",), "poll_s": 0.05} | settings
    (root / "logs").mkdir(exist_ok=True)
    return kind.build("logs", kind.Settings.model_validate(given), Setup(root, {}, SystemClock()))


def lines(first: int, last: int) -> list[bytes]:
    return [b"%05d this is a line of a log" % n for n in range(first, last)]


def text(first: int, last: int) -> bytes:
    return b"".join(line + b"\n" for line in lines(first, last))


def add(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_lines_come_when_they_are_whole_and_a_restart_goes_on(tmp_path: Path) -> None:
    async def story() -> None:
        receiver = MemoryReceiver(busy=1, failing=1)
        made = follower(tmp_path)
        log = tmp_path / "logs" / "app.log"
        log.write_bytes(text(0, 1000) + b"half")
        async with running(made, receiver):
            await until(lambda: len(receiver.lines()) == 1000)
            add(log, b" a line\n" + text(1000, 1010))
            await until(lambda: len(receiver.lines()) == 1011)
        add(log, text(1010, 1020))
        async with running(follower(tmp_path), receiver):
            await until(lambda: len(receiver.lines()) >= 1021)
            add(log, text(1020, 1021))
            await until(lambda: len(receiver.lines()) >= 1022)
        assert receiver.lines(origin=str(log)) == [*lines(0, 1000), b"half a line", *lines(1000, 1021)]

    asyncio.run(story())


def test_rotation_by_renaming_and_packing_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_FADES_S", 0.5)

    async def story() -> None:
        receiver = MemoryReceiver()
        log, old, packed = (tmp_path / "logs" / name for name in ("app.log", "app.log.1", "app.log.2.gz"))
        made = follower(tmp_path)
        log.write_bytes(text(0, 100))
        async with running(made, receiver):
            await until(lambda: len(receiver.lines()) == 100)
            with log.open("ab") as writer:
                log.rename(old)
                writer.write(text(100, 120))  # the writer does not know yet
            log.write_bytes(text(200, 300))
            await until(lambda: len(receiver.lines()) == 220)
            packed.write_bytes(gzip.compress(old.read_bytes()))
            old.unlink()
            add(log, text(300, 310))
            await until(lambda: len(receiver.lines()) == 230)
            await until(lambda: packed in made._tails and made._tails[packed].done)
        async with running(follower(tmp_path), receiver):
            add(log, text(310, 311))
            await until(lambda: len(receiver.lines()) == 231)
        assert sorted(receiver.lines()) == [*lines(0, 120), *lines(200, 311)]

    asyncio.run(story())


def test_a_file_that_leaves_the_folder_is_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_FADES_S", 0.3)

    async def story() -> None:
        receiver = MemoryReceiver()
        log = tmp_path / "logs" / "app.log"
        async with running(follower(tmp_path, "logs/*.log"), receiver):
            log.write_bytes(text(0, 10))
            await until(lambda: len(receiver.lines()) == 10)
            with log.open("ab") as writer:
                log.rename(tmp_path / "app.log.old")
                writer.write(text(10, 12) + b"the last has no end")
            await until(lambda: len(receiver.lines()) == 13)
        assert receiver.lines() == [*lines(0, 12), b"the last has no end"]

    asyncio.run(story())


def test_a_file_that_is_emptied_and_begun_anew_is_another(tmp_path: Path) -> None:
    async def story() -> None:
        receiver = MemoryReceiver()
        log = tmp_path / "logs" / "app.log"
        log.parent.mkdir()
        log.write_bytes(text(0, 100))
        async with running(follower(tmp_path), receiver):
            await until(lambda: len(receiver.lines()) == 100)
            os.truncate(log, 0)
            add(log, text(500, 505))
            await until(lambda: len(receiver.lines()) == 105)
            log.write_bytes(text(0, 1) + text(900, 1100))  # longer than before, and begins as the first did
            await until(lambda: len(receiver.lines()) == 306)
        assert receiver.lines() == [*lines(0, 100), *lines(500, 505), *lines(0, 1), *lines(900, 1100)]

    asyncio.run(story())


def test_rotation_by_copying_loses_and_doubles_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        receiver = MemoryReceiver()
        log, copy = tmp_path / "logs" / "app.log", tmp_path / "logs" / "app.log.1"
        made = follower(tmp_path)
        log.write_bytes(text(0, 500))
        async with running(made, receiver):
            await until(lambda: len(receiver.lines()) == 500)
            copy.write_bytes(log.read_bytes() + text(500, 503))  # written while it was copied
            await until(lambda: copy in made._tails)
            os.truncate(log, 0)
            add(log, text(600, 700))
            await until(lambda: len(receiver.lines()) == 603)
        assert sorted(receiver.lines()) == [*lines(0, 503), *lines(600, 700)]

    asyncio.run(story())


def test_files_that_begin_alike_are_told_apart(tmp_path: Path) -> None:
    async def story() -> None:
        receiver = MemoryReceiver()
        head = b"#Fields: a b\n"
        made = follower(tmp_path)
        one, two = tmp_path / "logs" / "one.log", tmp_path / "logs" / "two.log"
        one.write_bytes(head + b"1 x\n")
        two.write_bytes(head + b"2 x\n")
        async with running(made, receiver):
            await until(lambda: len(receiver.taken) == 2)
            add(two, b"2 y\n")
            add(one, b"1 y\n")
            await until(lambda: len(receiver.taken) == 4)
        assert [line for line in receiver.lines(origin=str(one)) if not line.startswith(b"#")] == [
            b"1 x",
            b"1 y",
        ]
        assert receiver.lines(origin=str(two)) == [*head.splitlines(), b"2 x", *head.splitlines(), b"2 y"]

    asyncio.run(story())


def test_packed_files_and_documents_come_once_and_whole(tmp_path: Path) -> None:
    async def story() -> None:
        receiver = MemoryReceiver()
        made = follower(tmp_path)
        folder = tmp_path / "logs"
        document = b'{\n "Records": [{"eventID": "1"}]\n}\n'
        (folder / "a.gz").write_bytes(gzip.compress(text(0, 50)))
        (folder / "b.zst").write_bytes(zstandard.compress(text(50, 90)))
        (folder / "c.json").write_bytes(document)
        (folder / "d.evtx").write_bytes(b"ElfFile\0" + bytes(range(256)))
        (folder / "e.gz").write_bytes(gzip.compress(b"".join(text(n, n + 1) for n in range(9000)))[:-100])
        async with running(made, receiver):
            await until(lambda: len(receiver.taken) >= 5 and receiver.refused)
        async with running(follower(tmp_path), receiver):
            (folder / "d.evtx").write_bytes(b"ElfFile\0" + bytes(256))
            await until(lambda: len(receiver.taken) >= 6)
        by_name: dict[str, list[bytes]] = {}
        for one in receiver.taken:
            by_name.setdefault(Path(one.origin).name, []).append(one.data)
        assert by_name["a.gz"] == [text(0, 50)]
        assert by_name["b.zst"] == [text(50, 90)]
        assert by_name["c.json"] == [document]
        assert [len(data) for data in by_name["d.evtx"]] == [264, 264]
        assert by_name["e.gz"][0].startswith(text(0, 100))
        assert {Path(one.origin).name for one in receiver.refused} == {"e.gz"}
        assert "damaged" in receiver.refused[0].refused

    asyncio.run(story())


def test_a_document_on_one_line_without_an_end_is_read_when_it_rests(tmp_path: Path) -> None:
    async def story() -> None:
        receiver = MemoryReceiver()
        made = follower(tmp_path)
        folder = tmp_path / "logs"
        (folder / "trail.json").write_bytes(b'{"Records":[{"eventID":"1"}]}')
        (folder / "half.json").write_bytes(b'{"Records":[{"eventID"')
        (folder / "half.log").write_bytes(b"a line that is not finished")
        for file in folder.iterdir():
            os.utime(file, (1, 1))
        async with running(made, receiver):
            await until(lambda: receiver.taken)
            add(folder / "half.log", b" is now\n")
            await until(lambda: len(receiver.taken) == 2)
        assert receiver.lines() == [b'{"Records":[{"eventID":"1"}]}', b"a line that is not finished is now"]

    asyncio.run(story())


def test_a_line_that_is_too_long_costs_only_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_tailing, "MAX_LINE", 100_000)
    monkeypatch.setattr(_tailing, "PIECE", 20_000)
    monkeypatch.setattr(_tailing, "_BLOCK", 10_000)

    async def story() -> None:
        receiver = MemoryReceiver()
        made = follower(tmp_path)
        log = tmp_path / "logs" / "app.log"
        log.write_bytes(text(0, 2000) + b"x" * 500_000)
        async with running(made, receiver):
            await until(lambda: receiver.refused)
            add(log, b"x" * 500_000 + b"\n" + text(2000, 4000))
            await until(lambda: len(receiver.lines()) == 4000)
        assert receiver.lines() == lines(0, 4000)
        assert [one.refused for one in receiver.refused] == ["a line of more than 100,000 bytes"]
        assert len({one.key for one in receiver.taken}) == len(receiver.taken) > 4

    asyncio.run(story())


def test_what_cannot_be_read_is_told_once_and_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(path: Path, real: Any = files.Held) -> Any:
        if path.name == "secret.log":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(files, "Held", opened)

    async def story() -> None:
        receiver = MemoryReceiver()
        made = follower(tmp_path)
        (tmp_path / "logs" / "secret.log").write_bytes(text(0, 1))
        (tmp_path / "logs" / "z.log").write_bytes(text(1, 2))
        (tmp_path / "logs" / "link.log").symlink_to("/etc/hostname")
        async with running(made, receiver):
            await until(receiver.lines)
            add(tmp_path / "logs" / "z.log", text(2, 3))
            await until(lambda: len(receiver.lines()) == 2)
        assert [one.refused for one in receiver.refused] == ["cannot be read: Permission denied"]
        assert receiver.lines() == lines(1, 3)

    asyncio.run(story())


def test_old_files_are_not_held_open(tmp_path: Path) -> None:
    async def story() -> None:
        receiver = MemoryReceiver()
        made = follower(tmp_path)
        log = tmp_path / "logs" / "old.log"
        log.write_bytes(text(0, 5))
        os.utime(log, (1, 1))
        async with running(made, receiver):
            await until(lambda: made._quiet and not made._tails)
            add(log, text(5, 6))
            await until(lambda: len(receiver.lines()) == 6)
        assert receiver.lines() == lines(0, 6)

    asyncio.run(story())
