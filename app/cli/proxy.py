"""`covey up --proxy`: the way out of a network, and its password, which never stands on a command line."""

import os
import sys

from app.cli.connect import MAX_KEY_FILE, read_text
from protocol.errors import UsageError
from protocol.http_proxy import HttpProxy

VARIABLE = "COVEY_PROXY_PASSWORD"
HOW = f"Leave it out: you are asked for it, or give --proxy-password-file FILE or the environment variable {VARIABLE}."


def settings_of(proxy: str | None, password_file: str | None) -> dict[str, object]:
    """What to tell the helper; empty without --proxy.

    Raises UsageError, which repeats nothing that may be a password.
    """
    if proxy is None:
        if password_file is not None:
            raise UsageError("The option --proxy-password-file says nothing without --proxy.")
        return {}
    named = _parsed(proxy) if proxy.strip() else None
    user = named.user if named else ""
    found: dict[str, object] = {"proxy": named.url if named else ""}
    if password_file is not None:
        found["proxy_password"] = _read(password_file)
    elif user and VARIABLE in os.environ:
        found["proxy_password"] = os.environ[VARIABLE]
    elif user and sys.stdin.isatty():
        found["proxy_password"] = _asked()
    return found


def _parsed(text: str) -> HttpProxy:
    try:
        proxy = HttpProxy.parse(text)
    except ValueError as error:
        raise UsageError(f"The option --proxy can't be used: {error}.") from None
    if proxy.password:
        raise UsageError("The password does not belong into --proxy: others on this machine can see it there.", HOW)
    return proxy


def _read(source: str) -> str:
    if source == "-" and sys.stdin.isatty():
        return _asked()
    name, data = read_text(source, "proxy's password")
    text = data.removesuffix("\n").removesuffix("\r")
    if not text or not text.isprintable() or len(text) > MAX_KEY_FILE:
        raise UsageError(f"There is no password in {name}: it holds one line, and nothing else.")
    return text


def _asked() -> str:
    import getpass

    return getpass.getpass("Password for the proxy: ")
