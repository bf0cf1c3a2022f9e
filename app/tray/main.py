"""`covey-tray`: the icon, the window and the notifications of one person."""

import argparse
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from app.local_call import DEFAULT_SOCKET
from protocol.version import VERSION

if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication

    from app.tray.instance import Instance

SCREENS = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")


def main() -> None:
    options = parse(sys.argv[1:])
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    from PySide6.QtCore import QCoreApplication

    from app.tray.instance import Call, Instance, instance_folder

    if sys.platform == "linux" and not any(os.environ.get(name) for name in SCREENS):
        raise SystemExit("There is no screen here to show anything on. Use `covey` instead: `covey status`, `covey up`.")
    QCoreApplication.setApplicationName("Covey")
    try:
        instance = Instance(instance_folder())
        is_first = instance.claim()
    except OSError as error:
        raise SystemExit(f"Covey can't keep what it needs while it runs: {error}. Is XDG_RUNTIME_DIR yours?") from None
    if not is_first:
        is_heard = instance.hand_over(Call(options.link, options.profile, not options.hidden))
        print("Covey is running already." if is_heard else "Covey is running already, but does not answer.", file=sys.stderr)
        raise SystemExit(0 if is_heard else 1)
    from app.qt_bridge import leave, run

    leave(run(lambda app: tray_main(app, options, instance), [sys.argv[0]]))


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="covey-tray", description="Covey's icon in the tray, with its window.")
    socket = os.environ.get("COVEY_SOCKET", DEFAULT_SOCKET)
    parser.add_argument("--socket", type=Path, default=Path(socket), metavar="PATH", help=f"the helper's socket [{socket}]")
    parser.add_argument("--profile", metavar="NAME", help="use this account from now on")
    parser.add_argument("--show-window", action="store_true", help="open the window at once")
    parser.add_argument("--hidden", action="store_true", help="stay in the tray; for starting with the session")
    parser.add_argument("--version", action="version", version=f"covey-tray {VERSION}")
    parser.add_argument("link", nargs="?", metavar="LINK", help="a join link (covey://...) to open")
    return parser.parse_args(words)


async def tray_main(app: "QApplication", options: argparse.Namespace, instance: "Instance") -> int:
    """Run until a person quits."""
    from app.helper_client import HelperClient
    from app.model import AppModel
    from app.settings import Kept, config_folder
    from app.tray.instance import Call
    from app.tray.person import PersonHere
    from app.tray.program import Program

    client = HelperClient(options.socket)
    person = PersonHere(client)
    model = AppModel(client, person)
    program = Program(app, model, person, Kept(config_folder()))
    instance.called.connect(program.on_called)
    instance.listen()
    program.start(Call(options.link, options.profile, options.show_window), is_hidden=options.hidden)
    try:
        await program.quitting.wait()
    finally:
        instance.release()
        await program.close()
        await model.close()
        await person.close()
    return 0


if __name__ == "__main__":
    main()
