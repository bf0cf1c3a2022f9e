"""`covey up` and `covey login`: from what was typed to a connected machine."""

import json
import pathlib
import sys

from app.helper_client import HelperClient, run
from protocol.errors import UsageError
from protocol.join_link import JoinLink, ServerLocation
from protocol.local_api import StatusDocument, UpRequest

MAX_KEY_FILE = 4096  # bytes


def connect(
    socket: pathlib.Path,
    management_url: str | None,
    join: str | None,
    setup_key: str | None,
    setup_key_file: str | None,
    hostname: str | None,
    timeout: float,
    *,
    as_json: bool,
) -> None:
    """Bring the machine up and say the outcome in one line."""
    if management_url and join:
        raise UsageError("Give either --join or --management-url, not both.")
    if setup_key and setup_key_file:
        raise UsageError("Give either --setup-key or --setup-key-file, not both.")
    try:
        if join:
            JoinLink.parse(join)
        if management_url:
            ServerLocation.from_url(management_url)
    except ValueError as error:
        raise UsageError(str(error)) from None
    key = read_setup_key(setup_key_file) if setup_key_file else setup_key.strip() if setup_key else None
    request = UpRequest(management_url, join.strip() if join else None, key or None, hostname or None, timeout)

    async def work(client: HelperClient) -> StatusDocument:
        await client.up(request)
        return await client.status()

    if sys.stderr.isatty():
        from rich.console import Console

        with Console(stderr=True).status("Connecting..."):
            status: StatusDocument = run(socket, work)
    else:
        status = run(socket, work)
    if as_json:
        print(json.dumps(status))
    else:
        print(f"Connected as {status['fqdn']} ({status['ip'].split('/')[0]}).")


def read_setup_key(source: str) -> str:
    """Read a setup key from a file or, for `-`, from standard input: spaces, newlines and a byte order mark do not matter."""
    try:
        data = sys.stdin.buffer.read(MAX_KEY_FILE) if source == "-" else _head(pathlib.Path(source))
        key = data.decode("utf-8-sig").strip()
    except OSError as error:
        raise UsageError(f"The setup key file {source} can't be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UsageError(f"The setup key file {source} holds no text.") from None
    if not key:
        raise UsageError("The setup key file is empty." if source != "-" else "No setup key came on standard input.")
    return key


def _head(path: pathlib.Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_KEY_FILE)
