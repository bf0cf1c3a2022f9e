"""`covey up --proxy`: what the helper is told, and that no password stands on a command line."""

import io
import pathlib

import pytest

from app.cli.proxy import VARIABLE, settings_of
from protocol.errors import UsageError
from tests.unit.app.cli.conftest import Covey
from tests.unit.helper.local_api.scripted import ScriptedController

PROXY, NAMED = "http://proxy.example:3128", "http://alice@proxy.example:3128"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No environment of ours, and no person."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))


async def test_up_tells_the_helper_the_proxy_and_its_password(
    covey: Covey, controller: ScriptedController, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "word").write_text(" hush 7 \n")
    done = await covey("up", "--proxy", NAMED, "--proxy-password-file", str(tmp_path / "word"))
    assert (done.code, done.err) == (0, "")
    assert controller.calls[0] == ("prefer", {"proxy": NAMED, "proxy_password": " hush 7 "})


async def test_an_empty_proxy_takes_it_back(covey: Covey, controller: ScriptedController) -> None:
    assert (await covey("up", "--proxy", "")).code == 0
    assert controller.calls[0] == ("prefer", {"proxy": ""})


async def test_a_password_in_the_address_is_refused_without_repeating_it(covey: Covey, controller: ScriptedController) -> None:
    for proxy in ("http://alice:hush@proxy:1", "alice:hush@proxy:1", "http://:hush@proxy"):
        done = await covey("up", "--proxy", proxy)
        assert done.code == 2
        assert "hush" not in done.out + done.err
        assert VARIABLE in done.err
    assert controller.calls == []


async def test_what_makes_no_sense_is_a_usage_error(covey: Covey, controller: ScriptedController) -> None:
    for words in (
        ["--proxy-password-file", "-"],
        ["--proxy", NAMED, "--proxy-password-file", "/dev/null"],
        ["--proxy", NAMED, "--proxy-password-file", "-", "--setup-key-file", "-"],
        ["--proxy", "http://[::1"],
    ):
        done = await covey("up", *words)
        assert (done.code, done.out) == (2, ""), words
        assert done.err
    assert controller.calls == []


def test_the_password_comes_from_the_environment_or_the_person(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings_of(NAMED, None) == {"proxy": NAMED}, "a script that says it again: the helper still knows it"
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("getpass.getpass", lambda _: "asked")
    assert settings_of(PROXY, None) == {"proxy": PROXY}
    assert settings_of(NAMED, None) == {"proxy": NAMED, "proxy_password": "asked"}
    assert settings_of(NAMED, "-") == {"proxy": NAMED, "proxy_password": "asked"}
    monkeypatch.setenv(VARIABLE, "from there")
    assert settings_of(NAMED, None) == {"proxy": NAMED, "proxy_password": "from there"}


@pytest.mark.parametrize("data", [b"a\nb\n", b"a\0", b"\n", b"x" * 5000])
def test_a_file_that_is_no_password_is_told_without_repeating_it(tmp_path: pathlib.Path, data: bytes) -> None:
    (tmp_path / "word").write_bytes(data)
    with pytest.raises(UsageError, match="There is no password in"):
        settings_of(NAMED, str(tmp_path / "word"))
