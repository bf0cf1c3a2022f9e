"""`covey status` and `covey peers`: print once what the helper says."""

import json
import sys

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


def show_peers(socket: str, *, as_json: bool) -> None:
    peers = ask(socket, STATUS)["peers"]["details"]
    if as_json:
        print(json.dumps(peers))
        return
    from rich.console import Console

    from app.cli.view import NO_PEERS, peer_table

    console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
    console.print(peer_table(peers, console.width) if peers else NO_PEERS)
