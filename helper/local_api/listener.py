"""Where the local API listens: a Unix socket on Linux and macOS."""

import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from helper.local_api.controller import Controller
from protocol.errors import CoveyError


def serve(controller: Controller, socket_path: Path) -> AbstractAsyncContextManager[None]:
    """Answer on this socket while the context is open; leaving it ends every request at once.

    Everybody on this machine may connect; each call is authorised by who the kernel says the caller is.

    Raises:
        AlreadyRunning: another helper listens there.
        NoPermission: the socket can't be made there.
        UsageError: the path is too long, or something else is there.
    """
    if sys.platform != "win32":
        from helper.local_api.unix import serve as serve_unix

        return serve_unix(controller, socket_path)
    raise CoveyError("This version of Covey has no local API on Windows.", "Run the helper on Linux or macOS.")
