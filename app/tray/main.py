"""`covey-tray`: the icon, the window and the notifications of one person."""

import argparse
import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from app.local_call import DEFAULT_SOCKET
from protocol.version import VERSION

if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication


def main() -> None:
    from app.qt_bridge import leave, run

    options = parse(sys.argv[1:])

    async def start(app: "QApplication") -> int:
        return await tray_main(app, options)

    leave(run(start, [sys.argv[0]]))


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="covey-tray", description="Covey's icon in the tray, with its window.")
    socket = os.environ.get("COVEY_SOCKET", DEFAULT_SOCKET)
    parser.add_argument("--socket", type=Path, default=Path(socket), metavar="PATH", help=f"the helper's socket [{socket}]")
    parser.add_argument("--profile", metavar="NAME", help="use this account from now on")
    parser.add_argument("--show-window", action="store_true", help="open the window at once")
    parser.add_argument("--version", action="version", version=f"covey-tray {VERSION}")
    parser.add_argument("link", nargs="?", metavar="LINK", help="a join link (covey://...) to open")
    return parser.parse_args(words)


async def tray_main(app: "QApplication", options: argparse.Namespace) -> int:
    from app.model import AppModel
    from app.tray.tray import Tray
    from app.tray.view import Action, Do, tray_view

    model, tray = AppModel(options.socket), Tray()
    quitting = asyncio.Event()

    def on_asked(action: Action) -> None:
        match action:
            case Action(Do.CONNECT):
                model.connect_()
            case Action(Do.DISCONNECT):
                model.disconnect_()
            case Action(Do.CANCEL):
                model.cancel()
            case Action(Do.COPY, text):
                app.clipboard().setText(text)
            case Action(Do.QUIT):
                quitting.set()

    def on_changed() -> None:
        tray.show(tray_view(model.state, datetime.now(UTC)))

    tray.asked.connect(on_asked)
    model.changed.connect(on_changed)
    on_changed()
    tray.register()
    model.start()
    await quitting.wait()
    await model.close()
    tray.withdraw()
    return 0


if __name__ == "__main__":
    main()
