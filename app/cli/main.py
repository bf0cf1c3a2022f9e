"""`covey`: what a person types. Everything goes through the helper's local API.

Exit codes: 0 ok, 1 failed, 2 usage, 3 helper not running, 4 login needed or refused, 5 timed out, 130 interrupted.
"""

import io
import json
import os
import sys

from app.cli.commands import COMMANDS
from app.cli.options import call
from app.cli.plain import read
from app.local_call import DEFAULT_SOCKET
from protocol.errors import CoveyError, UsageError

INTERRUPTED = 130


def run(arguments: list[str]) -> int:
    """Run a command line and return its exit code. An error is a sentence on standard error, its hint on the line below."""
    as_json = "--json" in arguments
    try:
        code = _run_plainly(arguments)
        return _run_with_typer(arguments) if code is None else code
    except CoveyError as error:
        return _fail(error, as_json)
    except KeyboardInterrupt:
        return INTERRUPTED
    except EOFError:  # Ctrl-D where a key is asked for
        print(file=sys.stderr)
        return INTERRUPTED
    except SystemExit as ended:  # typer's and rich's way to say that whoever read our output has gone
        return ended.code if isinstance(ended.code, int) else 1
    except BrokenPipeError:
        return 1


def _run_plainly(arguments: list[str]) -> int | None:
    """Run what leaves no question, which is nearly everything, without waiting for typer's imports; else None."""
    if (reading := read(arguments, COMMANDS)) is None:
        return None
    socket = reading.socket or os.environ.get("COVEY_SOCKET") or DEFAULT_SOCKET
    code = call(reading.command, socket, reading.values)
    sys.stdout.flush()
    return code or 0


def _run_with_typer(arguments: list[str]) -> int:
    import typer
    from typer.exceptions import TyperException

    from app.cli.full import program

    try:
        code = program(COMMANDS)(arguments, standalone_mode=False, prog_name="covey")
        sys.stdout.flush()
    except TyperException as error:
        raise UsageError(error.format_message()) from None
    except typer.Abort:
        return INTERRUPTED
    return code if isinstance(code, int) else 0


def _fail(error: CoveyError, as_json: bool) -> int:
    from app.cli.failure import complain
    from protocol.local_api import error_body

    complain(error)
    if as_json:
        print(json.dumps({"error": error_body(error)}))
    return error.exit_code


def main() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character still shows the rest
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except OSError:  # nobody reads any more: Python would complain once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


if __name__ == "__main__":
    main()
