import io
import pathlib

import pytest

from app.cli.connect import MAX_KEY_FILE, completed, phase, read_setup_key
from protocol.errors import SetupKeyMalformed, UsageError
from protocol.local_api import UpRequest
from tests.unit.helper.local_api.scripted import link, status_document

KEY = "a8b7c6d5-0123-4567-89ab-cdef01234567"


@pytest.mark.parametrize(
    "data",
    [
        KEY.encode(),
        f"{KEY}\n".encode(),
        f"\r\n\t {KEY} \r\n\r\n".encode(),
        f"\ufeff{KEY}\r\n".encode(),
        f"{KEY}\r\n".encode("utf-16"),
        b"\xfe\xff" + KEY.encode("utf-16-be"),
    ],
)
def test_a_key_is_read_however_an_editor_saved_it(tmp_path: pathlib.Path, data: bytes) -> None:
    (tmp_path / "key").write_bytes(data)
    assert read_setup_key(str(tmp_path / "key")) == KEY


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "There is no setup key in"),
        (b" \r\n", "There is no setup key in"),
        (b"\xef\xbb\xbf", "There is no setup key in"),
        (b"\x80\x81", "There is no text in"),
        (b"\xff\xfea", "There is no text in"),
        (f"{KEY}\n{KEY}\n".encode(), "There is more than a setup key in"),
        (KEY.encode() + b" " * MAX_KEY_FILE, "There is more than a setup key in"),
    ],
)
def test_a_file_that_is_not_a_key_is_told(tmp_path: pathlib.Path, data: bytes, sentence: str) -> None:
    (tmp_path / "key").write_bytes(data)
    with pytest.raises(UsageError, match=sentence) as caught:
        read_setup_key(str(tmp_path / "key"))
    assert KEY not in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("name", ["", "nowhere", ".", "a\0b", "x" * 5000])
def test_a_file_that_cannot_be_read_is_told(tmp_path: pathlib.Path, name: str) -> None:
    with pytest.raises(UsageError):
        read_setup_key(str(tmp_path / name))


def test_a_device_without_end_is_not_read_to_its_end() -> None:
    with pytest.raises(UsageError):
        read_setup_key("/dev/zero")


def test_a_key_comes_from_standard_input_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f" {KEY}\n".encode())))
    assert read_setup_key("-") == KEY


def test_spaces_around_what_was_pasted_do_not_matter() -> None:
    wanted = UpRequest(join_link=" covey://192.0.2.1/join \n", setup_key=f" {KEY} ")
    assert completed(wanted, None) == UpRequest(join_link="covey://192.0.2.1/join", setup_key=KEY)
    assert completed(UpRequest("https://h\n"), None) == UpRequest("https://h")


@pytest.mark.parametrize("key", ["", " ", "x", KEY[:-1], KEY.replace("-", ""), f"{KEY}\n{KEY}"])
def test_what_is_no_setup_key_is_refused_before_it_is_sent(key: str) -> None:
    with pytest.raises(SetupKeyMalformed):
        completed(UpRequest("https://h", setup_key=key), None)


def test_progress_says_what_is_still_missing() -> None:
    status = status_document(state="Connecting")
    status["management"] = link("https://h:443", "no answer")
    assert phase(status) == "Connecting to the server at https://h:443: no answer"
    status["management"], status["signal"] = link(), link("", "no answer")
    assert phase(status) == "Connecting to signal: no answer"
    assert phase(status_document()) == "Connected"
