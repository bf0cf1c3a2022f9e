"""`covey-server invite`: a link with which a person makes an account for themselves."""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from protocol.join_link import JoinLink
from server.commands.opening import open_beside_server
from server.commands.tables import time_text
from server.identity.issuer import origin_of
from server.identity.links import INVITE, LIFETIMES, make_link
from server.server_info import read_server_info
from server.store import Role


def invite(
    data_dir: Annotated[Path, typer.Option(help="The folder that `covey-server up` uses.")],
    role: Annotated[Role, typer.Option(help="What the person becomes.")] = Role.USER,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Make a link with which one person chooses e-mail address and password; it is good for a week."""
    location, _ = read_server_info(data_dir)
    now = time.time()

    async def make() -> str:
        async with open_beside_server(data_dir) as store:
            return await make_link(store, INVITE, now, role=role)

    link = origin_of(location) + asyncio.run(make())
    if as_json:
        answer = {"link": link, "join_link": str(JoinLink(location)), "expires_at": time_text(now + LIFETIMES[INVITE])}
        print(json.dumps(answer))
        return
    print(link)
    print(
        "\nIt lets one person in, as", "an" if role.value[0] in "ao" else "a", f"{role}, within 7 days;", end=" ", file=sys.stderr
    )
    print("treat it like a password. The page says how to go on.", file=sys.stderr)
    if location.fingerprint is not None:
        print(
            "Their browser will warn: this server's certificate is its own. "
            f"They may go on if it shows the SHA-256 fingerprint {location.fingerprint.hex()}.",
            file=sys.stderr,
        )
