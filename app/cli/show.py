"""`covey status` and `covey peers`: print once what the helper says."""

import json
import sys

from app.cli.words import plain
from app.local_call import STATUS, ask

PIPE_WIDTH = 1000  # columns where the output is no terminal: a line a peer, for grep


def show_status(socket: str, *, as_json: bool) -> None:
    status = ask(socket, STATUS)
    if as_json:
        print(json.dumps(status))
        return
    from rich.console import Console

    from app.cli.view import status_view

    console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
    console.print(status_view(status, console.width))


def show_networks(socket: str, *, as_json: bool) -> None:
    networks = ask(socket, STATUS).get("networks", [])
    if as_json:
        print(json.dumps(networks))
    elif not networks:
        print("No networks behind other machines are offered.")
    else:
        for one in networks:
            where = one["network"] or ", ".join(one["domains"])
            state = "in use" if one["used"] else "not used: this version of Covey leads to machines only"
            print(plain(f"{one['name']}  {where}  behind {one['peer']}  ({state})"))


def show_peers(socket: str, *, as_json: bool) -> None:
    peers = ask(socket, STATUS)["peers"]["details"]
    if as_json:
        print(json.dumps(peers))
        return
    from rich.console import Console

    from app.cli.view import NO_PEERS, peer_table

    console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
    console.print(peer_table(peers, console.width) if peers else NO_PEERS)
