"""`covey-server peers`: which machines are in the network. Works whether the server runs or not."""

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

from server.commands.opening import open_beside_server
from server.commands.tables import print_table, time_text
from server.store.models import Account, Peer

app = typer.Typer(help="Machines in the network: list, remove.", no_args_is_help=True)

DataDir = Annotated[Path, typer.Option(help="The folder that `covey-server up` uses.")]
AsJson = Annotated[bool, typer.Option("--json", help="For scripts.")]


@app.command("list")
def list_peers(data_dir: DataDir, as_json: AsJson = False) -> None:
    """List the machines."""

    async def ask() -> tuple[Account, list[Peer]]:
        async with open_beside_server(data_dir) as store:
            return await store.members((await store.account()).id)

    account, peers = asyncio.run(ask())
    peers.sort(key=lambda peer: peer.name)
    if as_json:
        print(json.dumps([_described(peer, account) for peer in peers]))
        return
    print_table(
        ("ID", "NAME", "ADDRESS", "SYSTEM", "VERSION", "LAST SEEN"),
        [
            (
                peer.id,
                peer.name,
                str(peer.address),
                peer.meta.os or peer.meta.go_os,
                peer.meta.covey_version or peer.meta.netbird_version,
                time_text(peer.last_seen),
            )
            for peer in peers
        ],
        "No machine has joined yet.",
    )


@app.command()
def remove(
    machine: Annotated[str, typer.Argument(metavar="ID|NAME", help="As `peers list` shows it.")],
    data_dir: DataDir,
    as_json: AsJson = False,
) -> None:
    """Take a machine out of the network; a running server tells it and all others within a second."""

    async def change() -> Peer:
        async with open_beside_server(data_dir) as store:
            peer = await store.find_by_id_or_name(machine)
            await store.remove_peers([peer.id])
            return peer

    peer = asyncio.run(change())
    removed = {"id": peer.id, "name": peer.name, "removed": True}
    print(json.dumps(removed) if as_json else f"{peer.name} ({peer.address}) is out of the network.")


def _described(peer: Peer, account: Account) -> dict[str, object]:
    return {
        "id": peer.id,
        "name": peer.name,
        "fqdn": f"{peer.name}.{account.dns_domain}",
        "address": str(peer.address),
        "public_key": peer.public_key.text,
        "hostname": peer.meta.hostname,
        "os": peer.meta.os,
        "netbird_version": peer.meta.netbird_version,
        "covey_version": peer.meta.covey_version,
        "ephemeral": peer.ephemeral,
        "created_at": time_text(peer.created_at),
        "last_seen": time_text(peer.last_seen),
    }
