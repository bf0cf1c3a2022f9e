"""`covey up`: from what was typed to a connected machine."""

import json
import pathlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from app.cli.words import own_name, plain
from app.local_call import PREFERENCES, STATUS, ask, up
from protocol.errors import CoveyError, LoginNeeded, SetupKeyMalformed, UsageError
from protocol.join_link import JoinLink, ServerLocation
from protocol.local_api import StatusDocument, UpRequest

if TYPE_CHECKING:
    import threading

Settings = dict[str, Any]  # some of protocol.local_api.Preferences
MAX_KEY_FILE = 4096  # bytes
SHOW_AFTER = 0.1  # seconds; what is over sooner does not wait for imports that only draw
LOOK_EVERY, LOOK_TIMEOUT = 0.3, 1.0  # seconds between two looks at how far it got, and that each may take
SETUP_KEY = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def connect(
    socket: str,
    wanted: UpRequest,
    setup_key_file: str | None,
    *,
    may_sign_in: bool,
    as_json: bool,
    settings: Settings | None = None,
) -> None:
    """Bring the machine up, with the person where the server wants one, and say the outcome in one line.

    `settings` are kept for later times too.
    """
    request = completed(wanted, setup_key_file)
    if settings:
        ask(socket, PREFERENCES._replace(method="POST", body=settings))
    try:
        with progress(socket):
            ask(socket, up(request))
    except LoginNeeded as needed:
        if request.setup_key is not None:
            raise  # the key was to let it in
        status = ask(socket, STATUS)
        if not (request.management_url or request.join_link or status["management"]["url"]):
            raise  # nobody knows where to
        if not may_sign_in:
            needed.hint = "Sign in: `covey login`, or `covey up` without --no-login."
            raise
        token = _token(socket, status, request, as_json=as_json)
        with progress(socket):
            ask(socket, up(replace(request, jwt=token)))
    status = ask(socket, STATUS)
    print(json.dumps(status) if as_json else f"Connected as {own_name(status)}.")


def _token(socket: str, status: StatusDocument, request: UpRequest, *, as_json: bool) -> str:
    """What signing in gives; only here a person is waited for."""
    import asyncio

    from app.cli.sign_in import tell, tell_as_json, token_for
    from app.helper_client import HelperClient

    on_prompt = tell_as_json if as_json else tell
    return asyncio.run(token_for(HelperClient(socket), status, request, on_prompt, may_open_browser=True, anew=False))


def completed(wanted: UpRequest, setup_key_file: str | None) -> UpRequest:
    """Check what was typed and read the setup key; spaces around it don't matter.

    Raises:
        UsageError: something contradicts itself, or the file can't be read.
        SetupKeyMalformed: that is no setup key.
    """
    if wanted.management_url is not None and wanted.join_link is not None:
        raise UsageError("Give either --join or --management-url, not both.")
    if wanted.setup_key is not None and setup_key_file is not None:
        raise UsageError("Give either --setup-key or --setup-key-file, not both.")
    url, link = (text.strip() if text is not None else None for text in (wanted.management_url, wanted.join_link))
    try:
        if link is not None:
            JoinLink.parse(link)
        if url is not None:
            ServerLocation.from_url(url)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if wanted.hostname is not None and not wanted.hostname.strip():
        raise UsageError("The --hostname is empty.")
    key = read_setup_key(setup_key_file) if setup_key_file is not None else wanted.setup_key
    if key is not None and not SETUP_KEY.fullmatch(key.strip()):
        raise SetupKeyMalformed("This is no setup key." if key.strip() else "The setup key is empty.")
    request = replace(wanted, management_url=url, join_link=link, setup_key=key.strip() if key is not None else None)
    return UpRequest.from_json(request.to_json())


def read_setup_key(source: str) -> str:
    """Read a setup key from a file or, for `-`, from standard input. A byte order mark and what is around it don't matter."""
    if source == "-" and sys.stdin.isatty():
        import getpass

        return getpass.getpass("Setup key: ")
    name, text = read_text(source, "setup key")
    key = text.strip()
    if not key:
        raise UsageError(f"There is no setup key in {name}: it is empty.", "Write the key into it, or give another.")
    if len(key.split()) > 1 or len(text) > MAX_KEY_FILE:
        raise UsageError(f"There is more than a setup key in {name}.", "Give a file that holds nothing but the setup key.")
    return key


def read_text(source: str, what: str) -> tuple[str, str]:
    """What to call the source, and its text without a byte order mark; longer than MAX_KEY_FILE only if it was cut there."""
    is_input = source == "-"
    name = "standard input" if is_input else f"the file {source}"
    try:
        data = sys.stdin.buffer.read(MAX_KEY_FILE + 1) if is_input else _head(pathlib.Path(source))
        is_utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))  # PowerShell's `>` writes that
        return name, data.decode("utf-16" if is_utf16 else "utf-8-sig")
    except OSError as error:
        raise UsageError(f"The {what} can't be read from {name}: {error.strerror}.", "Check its path and owner.") from None
    except ValueError:
        raise UsageError(f"There is no text in {name}.", f"Give a file that holds nothing but the {what}.") from None


def _head(path: pathlib.Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_KEY_FILE + 1)


@contextmanager
def progress(socket: str) -> Iterator[None]:
    """Show on a terminal how far it got, while the context is open."""
    if not sys.stderr.isatty():
        yield
        return
    import threading

    over = threading.Event()
    showing = threading.Thread(target=_show_progress, args=(socket, over), daemon=True)
    showing.start()
    try:
        yield
    finally:
        over.set()
        showing.join()


def _show_progress(socket: str, over: "threading.Event") -> None:
    if over.wait(SHOW_AFTER):
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True).status(Text("Connecting")) as shown:
        while not over.wait(LOOK_EVERY):
            with suppress(CoveyError):  # `up` itself will say it
                shown.update(Text(phase(ask(socket, STATUS._replace(seconds=LOOK_TIMEOUT)))))


def phase(status: StatusDocument) -> str:
    """What is still missing to be connected."""
    for name, link in (("the server", status["management"]), ("signal", status["signal"])):
        if not link["connected"]:
            where = f"{name} at {link['url']}" if link["url"] else name
            return plain(f"Connecting to {where}" + (f": {link['error']}" if link["error"] else ""))
    return "Connected"
