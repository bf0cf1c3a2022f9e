"""Calls of the local API with nothing but sockets: HTTP/1.0 and JSON over the helper's Unix socket.

What asyncio, aiohttp and typer cost to import would be most of the time until a command's answer.
"""

import errno
import json
import socket
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from protocol.errors import CoveyError, HelperNotRunning, NoPermission, TimedOut, error_from_wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.local_api import UpRequest

T = TypeVar("T")

DEFAULT_SOCKET = "/run/covey/helper.sock"
CONNECT_TIMEOUT = 3.0  # seconds
ANSWER_TIMEOUT = 10.0  # seconds, for calls that only ask
CHANGE_TIMEOUT = 40.0  # seconds, for down and logout, and for `up` beyond its own timeout
UP_TIMEOUT = 30.0  # seconds that `up` waits unless asked otherwise


class Call(NamedTuple):
    """What the helper is asked, and how many seconds its answer may take."""

    method: str
    route: str
    seconds: float = ANSWER_TIMEOUT
    body: dict[str, Any] | None = None

    def __repr__(self) -> str:  # the body may hold a password
        return f"{self.method} {self.route}"


STATUS = Call("GET", "/v1/status")
PREFERENCES = Call("GET", "/v1/preferences")
VERSION = Call("GET", "/v1/version")
BUNDLE_TIMEOUT = 40.0  # seconds
DOCTOR = Call("POST", "/v1/doctor", 15.0)  # a busy machine may take longer than the doctor's own 8 s
DOWN = Call("POST", "/v1/down", CHANGE_TIMEOUT)


def up(request: "UpRequest") -> Call:
    """Come up; the answer comes when management and signal are."""
    return Call("POST", "/v1/up", (request.timeout or UP_TIMEOUT) + CHANGE_TIMEOUT, request.to_json())


def bundle(*, include_names: bool) -> Call:
    """A report for whoever helps, as a ZIP file."""
    return Call("POST", "/v1/debug/bundle", BUNDLE_TIMEOUT, {"include_names": include_names})


def ask(path: str, call: Call) -> Any:
    """Ask the helper at this socket, and wait for the answer: a JSON object. Raises as HelperClient does."""
    return _exchange(path, call, answer_of)


def fetch(path: str, call: Call) -> bytes:
    """The same for an answer that is a file."""
    return _exchange(path, call, file_of)


def _exchange(path: str, call: Call, read: "Callable[[bytes], T]") -> T:
    if sys.platform == "win32":
        raise HelperNotRunning("This version of Covey has no helper on Windows.", "Use it on Linux or macOS.")
    deadline = time.monotonic() + call.seconds
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(CONNECT_TIMEOUT)
            connection.connect(path)
            connection.sendall(request_of(call))
            raw = bytearray()
            while True:
                connection.settimeout(max(0.01, deadline - time.monotonic()))
                piece = connection.recv(1 << 16)
                if not piece:
                    break
                raw += piece
        return read(bytes(raw))
    except (OSError, ValueError) as error:
        raise failure_of(error, path) from None


def request_of(call: Call) -> bytes:
    text = json.dumps(call.body or {}).encode()
    first = f"{call.method} {call.route} HTTP/1.0"
    head = f"{first}\r\nHost: helper\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
    return head.encode() + text


def answer_of(raw: bytes) -> dict[str, Any]:
    """The answer's JSON. Raises the error that the helper tells, or ValueError for what no helper says."""
    if not raw:
        raise HelperNotRunning("The helper ended while it was asked.")
    head, _, body = raw.partition(b"\r\n\r\n")
    protocol, code, *_ = [*head.split(None, 2), b"", b""]
    try:
        answer = json.loads(body)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not protocol.startswith(b"HTTP/1.") or not isinstance(answer, dict):
        raise ValueError("no answer of a local API")
    if int(code) < 400:
        return answer
    told = answer.get("error")
    told = told if isinstance(told, dict) else {}
    sentence = str(told.get("sentence") or "The helper refused this and did not say why.")
    raise error_from_wire(str(told.get("code")), sentence, str(told.get("hint") or ""))


def file_of(raw: bytes) -> bytes:
    """The answer's body, whatever it is. Raises as `answer_of`."""
    head, _, body = raw.partition(b"\r\n\r\n")
    if head.split(None, 2)[1:2] != [b"200"]:
        answer_of(raw)
        raise ValueError("no file")
    return body


def failure_of(error: OSError | ValueError, path: object) -> CoveyError:
    """What went wrong on the way to the helper, as a sentence."""
    if isinstance(error, TimeoutError):
        return TimedOut("The helper did not answer in time.", "Look at its log; `covey status` shows whether it answers.")
    if isinstance(error, ValueError):
        return CoveyError(f"What answers at {path} is no helper.", "Is --socket right?")
    cause = getattr(error, "os_error", error)  # aiohttp wraps it
    if isinstance(cause, PermissionError):
        return NoPermission(f"You may not use the helper's socket {path}.")
    if isinstance(cause, BlockingIOError) or getattr(cause, "errno", None) == errno.ENOTCONN:
        return TimedOut("The helper takes no more calls, for it has answered none for long.", "Restart it, and look at its log.")
    if isinstance(cause, BrokenPipeError | ConnectionResetError):
        return HelperNotRunning("The helper ended while it was asked.")
    return HelperNotRunning(f"No helper listens at {path}.")
