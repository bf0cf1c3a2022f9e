import asyncio
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.tray.instance import MAX_LINE, Call, Instance, server_name
from tests.gui.conftest import in_qt, until


async def handed_over(folder: Path, call: Call) -> bool:
    """A second start, in a process of its own as it really is."""
    program = (
        "import sys; from pathlib import Path; from app.tray.instance import Call, Instance\n"
        "instance = Instance(Path(sys.argv[1]))\n"
        "assert not instance.claim()\n"
        "sys.exit(0 if instance.hand_over(Call.from_line(sys.argv[2].encode())) else 1)"
    )
    line = call.to_line().decode()
    second = await asyncio.create_subprocess_exec(sys.executable, "-c", program, str(folder), line)
    return await second.wait() == 0


def test_the_second_start_hands_over_what_it_was_started_for(folder: Path) -> None:
    async def test() -> None:
        first = Instance(folder)
        called: list[Call] = []
        first.called.connect(called.append)
        assert first.claim()
        first.listen()
        wanted = [Call(), Call("covey://vpn.example.org:443/join", "wörk\n", False)]
        for call in wanted:
            assert await handed_over(folder, call)
        assert called == wanted
        first.release()
        second = Instance(folder)
        assert second.claim()
        second.release()

    in_qt(test)


def test_what_a_crash_left_is_no_obstacle(folder: Path) -> None:
    async def test() -> None:
        Path(server_name(folder)).touch()
        instance = Instance(folder)
        assert instance.claim()
        instance.listen()
        assert await handed_over(folder, Call())
        instance.release()

    in_qt(test)


@pytest.mark.parametrize(
    "line", [b"show\n", b"[" * 9000 + b"\n", b"\xff\n", b'{"link": 3, "profile": null, "shows_window": true}\n', b"x" * MAX_LINE]
)
def test_nonsense_is_hung_up_on(folder: Path, line: bytes) -> None:
    async def test() -> None:
        instance = Instance(folder)
        called: list[Call] = []
        instance.called.connect(called.append)
        assert instance.claim()
        instance.listen()
        reader, writer = await asyncio.open_unix_connection(server_name(folder))
        writer.write(line)
        with suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        assert called == []
        instance.release()

    in_qt(test)


def test_a_caller_that_says_half_a_line_holds_up_nobody(folder: Path) -> None:
    async def test() -> None:
        instance = Instance(folder)
        called: list[Call] = []
        instance.called.connect(called.append)
        assert instance.claim()
        instance.listen()
        _, slow = await asyncio.open_unix_connection(server_name(folder))
        slow.write(Call("covey://slow.example.org:443/join").to_line()[:10])
        assert await handed_over(folder, Call())
        slow.write(Call("covey://slow.example.org:443/join").to_line()[10:])
        await until(lambda: len(called) == 2, instance.called)
        assert called[1].link == "covey://slow.example.org:443/join"
        slow.close()
        instance.release()

    in_qt(test)


def test_the_socket_is_for_its_owner_alone(folder: Path) -> None:
    async def test() -> None:
        instance = Instance(folder / "new")
        assert instance.claim()
        instance.listen()
        assert (folder / "new").stat().st_mode & 0o777 == 0o700
        assert Path(server_name(folder / "new")).stat().st_mode & 0o077 == 0
        instance.release()

    in_qt(test)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_call_or_refused(line: bytes) -> None:
    try:
        call = Call.from_line(line)
    except ValueError:
        return
    assert Call.from_line(call.to_line()) == call
