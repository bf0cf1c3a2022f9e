"""`covey debug bundle`: a report for whoever helps. The helper makes it; without one, whatever the caller may read goes in."""

import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

from app.cli.cleanup import find_program
from app.cli.words import sentence, size
from app.local_call import bundle, fetch
from protocol.errors import CoveyError, HelperNotRunning, NoPermission, TimedOut

ALONE_TIMEOUT = 60.0  # seconds


class FileThere(CoveyError):
    code = "file-exists"
    hint = "Give another name with -o FILE, or --force to write over it."


class NotWritten(CoveyError):
    code = "not-written"
    hint = "Give another place with -o FILE."


def save_bundle(
    socket: str, output: str | None, *, include_names: bool, force: bool, state_dir: str | None, as_json: bool
) -> None:
    usual = f"covey-report-{datetime.now().astimezone():%Y-%m-%d-%H%M%S}.zip"
    path = Path(output or usual)
    if path.is_dir():
        path /= usual
    if not force and os.path.lexists(path):
        raise FileThere(f"The file {path} is there already.")
    try:
        data = fetch(socket, bundle(include_names=include_names))
    except (HelperNotRunning, NoPermission, TimedOut) as error:
        print(
            f"{sentence(str(error))} The report holds only what you may read yourself; as root it may be more.", file=sys.stderr
        )
        data = made_alone(state_dir, include_names=include_names)
    write_private(path, data, force=force)
    if as_json:
        print(json.dumps({"file": str(path), "size": len(data), "includesNames": include_names}))
        return
    print(f"Wrote {path} ({size(len(data))}).")
    what = "Keys and passwords" if include_names else "Keys, passwords, names and public addresses"
    print(f"{what} are removed. MANIFEST.txt in it lists all that is in it and what was removed.")


def write_private(path: Path, data: bytes, *, force: bool) -> None:
    """Write a file that only we may read. Raises FileThere unless `force`, or NotWritten."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
            if force:
                os.replace(aside, path)
            else:
                os.link(aside, path)  # never over a file that came meanwhile
        finally:
            aside.unlink(missing_ok=True)
    except FileExistsError:
        raise FileThere(f"The file {path} is there already.") from None
    except OSError as error:
        raise NotWritten(f"The file {path} can't be written: {error.strerror}.") from None


def made_alone(state_dir: str | None, *, include_names: bool) -> bytes:
    """Have the helper's program make a report, as whoever we are."""
    words = [
        find_program(),
        "bundle",
        *(["--state-dir", state_dir] if state_dir else []),
        *(["--include-names"] if include_names else []),
    ]
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=ALONE_TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        raise TimedOut(f"No report was made within {ALONE_TIMEOUT:g} s.", "Try again.") from None
    if done.returncode != 0 or not done.stdout:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["covey-helper failed"]
        raise CoveyError(f"No report was made: {lines[-1][:300]}")
    return done.stdout
