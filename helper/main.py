"""The privileged helper's command line: `covey-helper run`."""

import asyncio
import json
import logging
import os
import pathlib
import sys
from typing import Annotated

import typer

from helper.log_file import LINE
from protocol.errors import CoveyError
from protocol.local_api import error_body
from protocol.logs import FoldingHandler
from protocol.version import VERSION

STATE_DIR = pathlib.Path("/var/lib/covey")
SOCKET = pathlib.Path("/run/covey/helper.sock")

app = typer.Typer(
    help="Covey's helper: the one privileged program. It keeps the tunnel; `covey` tells it what to do.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def run(
    state_dir: Annotated[pathlib.Path, typer.Option(help="Where the key and the settings are kept.")] = pathlib.Path(
        "/var/lib/covey"
    ),
    socket: Annotated[pathlib.Path, typer.Option(help="The local API's socket.")] = pathlib.Path("/run/covey/helper.sock"),
    interface: Annotated[str, typer.Option(help="Name of the WireGuard interface, at most 15 characters.")] = "covey0",
    wireguard: Annotated[str, typer.Option(help="auto, kernel or userspace.")] = "auto",
    wireguard_port: Annotated[
        int, typer.Option(help="UDP port for all peers; 0: one at random, kept over restarts.", min=0, max=65535)
    ] = 0,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Run the helper until it is told to end (TERM or Ctrl-C). Needs root, or CAP_NET_ADMIN and CAP_NET_RAW."""
    if wireguard not in ("auto", "kernel", "userspace"):
        raise typer.BadParameter("is auto, kernel or userspace", param_hint="--wireguard")
    if log_level.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise typer.BadParameter("is debug, info, warning or error", param_hint="--log-level")
    if not 1 <= len(interface) <= 15 or "/" in interface or interface.split() != [interface]:
        raise typer.BadParameter("is 1 to 15 characters without spaces or slashes", param_hint="--interface")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(LINE))
    logging.basicConfig(level=log_level.upper(), handlers=[FoldingHandler(handler)])
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # what gRPC's core notes is ours to say

    from helper.daemon import serve  # heavy: only when there is something to do
    from helper.engine.engine import Options

    for library in ("asyncio", "grpc", "pyroute2"):  # their DEBUG is a line a netlink message; importing them sets it back
        logging.getLogger(library).setLevel(logging.WARNING)
    try:
        asyncio.run(serve(state_dir, socket, Options(interface, wireguard, wireguard_port)))  # type: ignore[arg-type]
    except CoveyError as error:
        print(f"{error}\n{error.hint}", file=sys.stderr)
        raise typer.Exit(error.exit_code) from None


@app.command()
def cleanup(
    state_dir: Annotated[pathlib.Path, typer.Option(help="The helper's folder, where its ledger lies.")] = pathlib.Path(
        "/var/lib/covey"
    ),
    interface: Annotated[str, typer.Option(help="Name of the WireGuard interface, for when the ledger is damaged.")] = "covey0",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Put this machine's network back as it was, after a helper that was killed. Needs root, and that no helper runs."""
    logging.basicConfig(level="ERROR", format="%(message)s", stream=sys.stderr)

    from helper.cleanup import clean_up

    try:
        outcome = clean_up(state_dir, interface)
    except CoveyError as error:
        if as_json:
            print(json.dumps({"error": error_body(error)}))
        else:
            print(f"{str(error)[:1].upper()}{str(error)[1:]}.\n{error.hint}", file=sys.stderr)
        raise typer.Exit(error.exit_code) from None
    print(outcome.to_json() if as_json else outcome)
    if outcome.left:
        raise typer.Exit(1)


@app.command()
def bundle(
    state_dir: Annotated[pathlib.Path, typer.Option(help="Where the key and the settings are kept.")] = pathlib.Path(
        "/var/lib/covey"
    ),
    include_names: Annotated[bool, typer.Option("--include-names", help="Keep names and public addresses.")] = False,
) -> None:
    """Write a report to standard output, as a ZIP file, of what you may read without the helper: see `covey debug bundle`."""
    from helper.diagnose.bundle import Contents, make_bundle
    from helper.journal.keep import EventFile

    contents = Contents(events=EventFile(state_dir).read(), missing={"status.json": "the helper does not answer"})
    data = asyncio.run(make_bundle(state_dir, contents, include_names=include_names))
    sys.stdout.buffer.write(data)


@app.command()
def version() -> None:
    """Say which version this is."""
    print(VERSION)


def main() -> None:
    app()


if __name__ == "__main__":
    main()
