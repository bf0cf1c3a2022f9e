"""`covey status --watch`: print what the helper says as it changes."""

import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import aclosing

from app.helper_client import HelperClient
from protocol.errors import CoveyError
from protocol.local_api import StatusDocument, error_body

EVERY = 1.0  # seconds after which counters and ages are shown anew
AGAIN = 1.0  # seconds until we look again for a helper that ended


async def watch_status(socket: str, *, as_json: bool) -> None:
    """Show the status as it changes, over restarts of the helper, until interrupted. JSON lines where nobody looks."""
    if as_json or not sys.stdout.isatty():
        await _follow(socket, _print_line, _print_line)
        return
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.text import Text

    from app.cli.view import status_view
    from app.cli.words import sentence

    console = Console(highlight=False)
    newest: StatusDocument | CoveyError | None = None

    def drawn() -> RenderableType:
        if isinstance(newest, CoveyError):
            return Text(f"{sentence(str(newest))} Waiting for it to come back...", "yellow")
        return status_view(newest, console.width) if newest else Text("")

    def show(what: StatusDocument | CoveyError) -> None:
        nonlocal newest
        newest = what
        live.refresh()

    with Live(get_renderable=drawn, console=console, refresh_per_second=1 / EVERY) as live:
        await _follow(socket, show, show)


def _print_line(what: StatusDocument | CoveyError) -> None:
    print(json.dumps({"error": error_body(what)} if isinstance(what, CoveyError) else what), flush=True)


async def _follow(socket: str, show: Callable[[StatusDocument], None], lost: Callable[[CoveyError], None]) -> None:
    """Hand on each status and, once, each loss of the helper, for ever. Raises CoveyError if there is none to begin with."""
    is_first, is_there = True, False
    while True:
        try:
            async with aclosing(HelperClient(socket).events(EVERY)) as events:
                async for status in events:
                    is_first, is_there = False, True
                    show(status)
        except CoveyError as error:
            if is_first:
                raise
            if is_there:
                lost(error)
            is_there = False
        await asyncio.sleep(AGAIN)
