"""Until when the server's certificate is valid, and what to say when that is soon."""

from datetime import UTC, datetime

from helper.clients.dial import certificate_of
from helper.diagnose.check import Check
from protocol.errors import CoveyError, ServerUnreachable
from protocol.join_link import ServerLocation

SOON = 14.0  # days before the end that people hear of it
TIMEOUT = 5.0  # seconds
DAY = 86400.0


def end_of(certificate: bytes) -> float | None:
    """When a certificate (DER) runs out, in seconds since 1970; None for a damaged one. Slow at first: it loads a parser."""
    from cryptography import x509

    try:
        return x509.load_der_x509_certificate(certificate).not_valid_after_utc.timestamp()
    except ValueError:
        return None


def ends_soon(ends: float, now: float, *, is_pinned: bool) -> tuple[str, str] | None:
    """The sentence and what to do, for a certificate that ends within SOON; None for one that does not.

    Both only change with the day. `ends` and `now` are in seconds since 1970.
    """
    days = (ends - now) / DAY
    if days >= SOON:
        return None
    when = f"{datetime.fromtimestamp(ends, UTC):%Y-%m-%d %H:%M} UTC"
    if days <= 0:
        sentence = f"The server's certificate ran out on {when}; new connections to the server are refused."
    else:
        left = "less than a day" if days < 1 else "a day" if days < 2 else f"{int(days)} days"
        sentence = f"The server's certificate runs out on {when}, in {left}; after that this machine can't connect to the server."
    step = "Tell whoever runs the server to renew it: `covey-server` takes new certificate files in within a minute."
    if is_pinned:
        step = f"{step} Machines then need a new join link, because theirs names the old certificate."
    return sentence, step


async def look(server: ServerLocation) -> float | None:
    """When the certificate that the server shows now runs out. Raises CoveyError."""
    certificate = await certificate_of(server, timeout=TIMEOUT)
    return end_of(certificate) if certificate else None


async def certificate_check(server: ServerLocation | None, now: float) -> Check:
    if server is None:
        return Check(None, "There is no server yet that could be asked.")
    if not server.tls:
        return Check(None, "The server is used without TLS, so it has no certificate.")
    try:
        ends = await look(server)
    except ServerUnreachable:
        return Check(None, "The server does not answer, so its certificate can't be looked at.")
    except CoveyError as error:
        return Check(False, f"The server's certificate is not taken: {error}.", error.hint)
    if ends is None:
        return Check(None, "The server's certificate can't be read.")
    if found := ends_soon(ends, now, is_pinned=server.fingerprint is not None):
        return Check(False, *found)
    return Check(True, f"The server's certificate is valid until {datetime.fromtimestamp(ends, UTC):%Y-%m-%d}.")
