"""The privileged helper's command line: `covey-helper run`.

It is read by argparse, and what a command needs is imported when it runs: what the helper imports it keeps in memory for weeks.
"""

import argparse
import asyncio
import json
import logging
import os
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from helper.lean_imports import load_only_what_is_used
from protocol.errors import CoveyError
from protocol.local_api import error_body
from protocol.version import VERSION

STATE_DIR = pathlib.Path("/var/lib/covey")
SOCKET = pathlib.Path("/run/covey/helper.sock")
LEVELS = ("debug", "info", "warning", "error")


def run(options: argparse.Namespace) -> int:
    from helper.log_file import LINE
    from protocol.logs import FoldingHandler

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(LINE))
    logging.basicConfig(level=options.log_level.upper(), handlers=[FoldingHandler(handler)])
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # what gRPC's core notes is ours to say

    load_only_what_is_used()
    from helper.daemon import serve
    from helper.engine.engine import Options

    for library in ("asyncio", "grpc", "pyroute2"):  # their DEBUG is a line a netlink message; importing them sets it back
        logging.getLogger(library).setLevel(logging.WARNING)
    wanted = Options(options.interface, options.wireguard, options.wireguard_port)
    try:
        asyncio.run(serve(options.state_dir, options.socket, wanted))
    except CoveyError as error:
        print(f"{error}\n{error.hint}", file=sys.stderr)
        return error.exit_code
    return 0


def cleanup(options: argparse.Namespace) -> int:
    logging.basicConfig(level="ERROR", format="%(message)s", stream=sys.stderr)

    from helper.cleanup import clean_up

    try:
        outcome = clean_up(options.state_dir, options.interface)
    except CoveyError as error:
        if options.as_json:
            print(json.dumps({"error": error_body(error)}))
        else:
            print(f"{str(error)[:1].upper()}{str(error)[1:]}.\n{error.hint}", file=sys.stderr)
        return error.exit_code
    print(outcome.to_json() if options.as_json else outcome)
    return 1 if outcome.left else 0


def bundle(options: argparse.Namespace) -> int:
    from helper.diagnose.bundle import Contents, make_bundle
    from helper.journal.keep import EventFile

    contents = Contents(events=EventFile(options.state_dir).read(), missing={"status.json": "the helper does not answer"})
    data = asyncio.run(make_bundle(options.state_dir, contents, include_names=options.include_names))
    sys.stdout.buffer.write(data)
    return 0


def version(_: argparse.Namespace) -> int:
    print(VERSION)
    return 0


def main(words: Sequence[str] | None = None) -> None:
    parser = _parser()
    if not (sys.argv[1:] if words is None else words):
        parser.print_help(sys.stderr)
        sys.exit(2)
    options = parser.parse_args(words)
    sys.exit(options.command(options))


def _parser() -> argparse.ArgumentParser:
    about = "Covey's helper: the one privileged program. It keeps the tunnel; `covey` tells it what to do."
    parser = argparse.ArgumentParser("covey-helper", description=about, allow_abbrev=False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    about = "Run the helper until it is told to end (TERM or Ctrl-C). Needs root, or CAP_NET_ADMIN and CAP_NET_RAW."
    one = _command(commands, "run", run, about)
    one.add_argument("--socket", type=pathlib.Path, default=SOCKET, help="the local API's socket (%(default)s)")
    one.add_argument(
        "--interface",
        type=_interface,
        default="covey0",
        help="the WireGuard interface, at most 15 characters (%(default)s)",
    )
    one.add_argument("--wireguard", choices=("auto", "kernel", "userspace"), default="auto", help="which WireGuard (%(default)s)")
    one.add_argument("--wireguard-port", type=_port, default=0, help="UDP port for all peers; 0: one at random, kept")
    one.add_argument("--log-level", type=str.lower, choices=LEVELS, default="info", help="how much is logged (%(default)s)")

    about = "Put this machine's network back as it was, after a helper that was killed. Needs root, and that no helper runs."
    one = _command(commands, "cleanup", cleanup, about)
    one.add_argument("--interface", default="covey0", help="name of the WireGuard interface, for when the ledger is damaged")
    one.add_argument("--json", action="store_true", dest="as_json", help="print JSON, for scripts")

    about = "Write a report to standard output, as a ZIP file, of what you may read without the helper: see `covey debug bundle`."
    one = _command(commands, "bundle", bundle, about)
    one.add_argument("--include-names", action="store_true", help="keep names and public addresses")

    _command(commands, "version", version, "Say which version this is.", has_state=False)
    return parser


def _command(commands: Any, name: str, function: Any, about: str, *, has_state: bool = True) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=about, description=about, allow_abbrev=False)
    parser.set_defaults(command=function)
    if has_state:
        parser.add_argument(
            "--state-dir", type=pathlib.Path, default=STATE_DIR, help="the helper's folder: key, settings, ledger (%(default)s)"
        )
    return parser


def _interface(text: str) -> str:
    if not 1 <= len(text) <= 15 or "/" in text or text.split() != [text]:
        raise argparse.ArgumentTypeError("is 1 to 15 characters without spaces or slashes")
    return text


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535):
        raise argparse.ArgumentTypeError("is a number from 0 to 65535")
    return int(text)


if __name__ == "__main__":
    main()
