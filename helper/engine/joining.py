"""Which server is meant, and whose machine it is then. Pure."""

from helper.engine.claims import email_of
from helper.settings import Settings
from protocol.errors import LoginNeeded, UsageError
from protocol.join_link import JoinLink, ServerLocation
from protocol.local_api import UpRequest


def target(request: UpRequest, known: ServerLocation | None) -> tuple[ServerLocation, str | None]:
    """Which server is meant, and with which setup key. Raises UsageError, LoginNeeded."""
    key = request.setup_key
    try:
        if request.join_link is not None:
            link = JoinLink.parse(request.join_link)
            return link.server, key or link.setup_key
        if request.management_url is not None:
            return _known_by_pin(ServerLocation.from_url(request.management_url), known), key
    except ValueError as error:
        raise UsageError(str(error)) from None
    if known is None:
        raise LoginNeeded("this machine has not joined a network yet")
    return known, key


def _known_by_pin(server: ServerLocation, known: ServerLocation | None) -> ServerLocation:
    """A URL of the server whose fingerprint a join link gave us means that server."""
    if known is not None and server.hosts[0] in known.hosts and (server.port, server.tls) == (known.port, known.tls):
        return known
    return server


def whose(
    settings: Settings, server: ServerLocation, *, jwt: str | None, uid: int | None, used_setup_key: bool, used_token: bool
) -> tuple[int | None, str]:
    """The user of this machine to whom the profile belongs after a login, and the e-mail address of who signed in.

    Args:
        settings: those before the login.
        jwt: what was signed in with, if anything.
        uid: who asked for it; None for root, who signs in again for whoever it was.
        used_setup_key: a setup key let the machine in, so it is nobody's.
        used_token: the server is known to have taken `jwt`; else it may have let in a machine that it knew, as whose it was.
    """
    is_same = server == settings.server
    if jwt is not None and (used_token or not is_same):
        email = email_of(jwt)
        if uid is None and is_same and email == settings.email:
            return settings.owner, email
        return uid, email
    if is_same and not used_setup_key:
        return settings.owner, settings.email
    return None, ""
