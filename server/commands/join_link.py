"""`covey-server join-link`: the one line that lets a machine find this server, know it, and get in."""

import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from protocol.join_link import JoinLink
from server.server_info import read_server_info

KEY_LIFETIME = 7 * 86400.0  # seconds


def join_link(
    data_dir: Annotated[Path, typer.Option(help="The folder that `covey-server up` uses.")],
    with_setup_key: Annotated[
        bool, typer.Option("--with-setup-key", help="Put a fresh setup key into the link, good for one machine and a week.")
    ] = False,
    qr: Annotated[bool, typer.Option("--qr", help="Draw the link for a camera, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Print a join link for this server."""
    location, fingerprint = read_server_info(data_dir)
    link = JoinLink(location)
    if with_setup_key:
        link = replace(link, setup_key=asyncio.run(_new_setup_key(data_dir)))
    if as_json:
        answer = {
            "link": str(link),
            "fingerprint": fingerprint.hex() if fingerprint else None,
            "hosts": location.hosts,
            "port": location.port,
            "tls": location.tls,
            "has_setup_key": link.setup_key is not None,
        }
        print(json.dumps(answer))
        return
    print(link)
    if qr:
        _draw(str(link))
    good_for = (
        "It lets in one machine within 7 days; treat it like a password."
        if with_setup_key
        else "It holds no setup key: a person signs in, or gives one with --setup-key."
    )
    print(f"\n{good_for} On that machine:\n  covey up --join LINK", file=sys.stderr)


def _draw(link: str) -> None:
    """Dark on light, whatever the terminal's colours; two rows of the code a line where it has half blocks."""
    import io

    import segno

    code, drawn = segno.make(link, error="l", micro=False), io.StringIO()
    try:
        "▀▄█".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        code.terminal(border=2)
        return
    code.terminal(drawn, border=2, compact=True)
    for line in drawn.getvalue().splitlines():
        print(f"\x1b[97;40m{line}\x1b[0m" if sys.stdout.isatty() else line)


async def _new_setup_key(data_dir: Path) -> str:
    """Make a one-off setup key in the server's database, whether it runs or not."""
    from server.commands.opening import open_beside_server
    from server.commands.setup_keys import create_setup_key

    async with open_beside_server(data_dir) as store:
        return (await create_setup_key(store, name="join link", expires_in=KEY_LIFETIME)).key
