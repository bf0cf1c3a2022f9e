"""What a person may get to read: every failure is a sentence, a next step and a stable code."""

from typing import ClassVar


class CoveyError(Exception):
    """`str(error)` says what failed, `hint` what to do about it, `code` names it for scripts.

    `exit_code` is what `covey` ends with: 1 failed, 2 usage, 3 helper not running, 4 login needed or refused, 5 timed out.
    """

    code: ClassVar[str] = "internal"
    hint: str = "Try again; if it persists, send what `covey debug bundle` writes to whoever helps you."
    exit_code: ClassVar[int] = 1

    def __init__(self, sentence: str, hint: str | None = None) -> None:
        super().__init__(sentence)
        if hint is not None:
            self.hint = hint


class UsageError(CoveyError):
    code = "usage"
    hint = "See `covey --help`."
    exit_code = 2


class HelperNotRunning(CoveyError):
    code = "helper-not-running"
    hint = "Start it: `systemctl start covey-helper`, or `covey-helper run` as root."
    exit_code = 3


class LoginNeeded(CoveyError):
    code = "login-needed"
    hint = "Run `covey up` with a setup key (--setup-key-file FILE) or a join link (--join LINK)."
    exit_code = 4


class SessionExpired(LoginNeeded):
    """Its text holds "peer login has expired": NetBird's clients look for that."""

    code = "session-expired"
    hint = "Sign in again: `covey login`. A setup key does not renew the session of a person's machine."


class LoginRefused(CoveyError):
    """The server said a definite no to this setup key or sign-in."""

    code = "login-refused"
    hint = "Ask whoever runs the server for a new setup key."
    exit_code = 4


class SetupKeyMalformed(LoginRefused):
    code = "setup-key-malformed"
    hint = "Copy the key again, whole: it looks like 8-4-4-4-12 hexadecimal digits."


class SetupKeyUnknown(LoginRefused):
    code = "setup-key-unknown"
    hint = "Check that the key belongs to this server, or ask whoever runs it for a new one."


class SetupKeyExpired(LoginRefused):
    code = "setup-key-expired"


class SetupKeyRevoked(LoginRefused):
    code = "setup-key-revoked"


class SetupKeyUsedUp(LoginRefused):
    code = "setup-key-used-up"
    hint = "Ask for a reusable setup key, or for one key for each machine."


class SignInRefused(LoginRefused):
    code = "sign-in-refused"
    hint = "Sign in again: `covey login`."


class UserBlocked(LoginRefused):
    code = "user-blocked"
    hint = "Ask whoever runs the server to let you in again: `covey-server users unblock EMAIL`."


class SignInNotOffered(LoginRefused):
    code = "sign-in-not-offered"
    hint = "Join with a setup key or a join link instead."


class SignInGivenUp(CoveyError):
    """Nobody signed in: the person gave up, said no, or took too long."""

    code = "sign-in-given-up"
    hint = "Begin again when you like: `covey login`."
    exit_code = 4


class ProfileUnknown(CoveyError):
    code = "profile-unknown"
    hint = "See `covey profile list`."


class ProfileExists(CoveyError):
    code = "profile-exists"
    hint = "Choose another name; upper and lower case are the same."


class ProfileInUse(CoveyError):
    code = "profile-in-use"
    hint = "Change to another account first: `covey profile use NAME`."


class ServerUnreachable(CoveyError):
    code = "server-unreachable"
    hint = "Check the address and this machine's network; is `covey-server` running and its port open?"


class ProxyRefused(ServerUnreachable):
    """The HTTP proxy of this network answered, and opens no way to the server."""

    code = "proxy-refused"
    hint = "Ask whoever runs this network to let this machine through its proxy to that address and port."


class SignInUnavailable(ServerUnreachable):
    """The OpenID provider does not answer the management server: nobody was refused."""

    code = "sign-in-unavailable"
    hint = "Try again in a minute; machines that are connected stay so. Whoever runs the server finds the reason in its log."


class WrongScheme(CoveyError):
    code = "wrong-scheme"
    hint = "Use https:// for a server with TLS, http:// for one started with --plaintext."


class CertificateMismatch(CoveyError):
    code = "certificate-mismatch"
    hint = (
        "Somebody may be between you and the server, or it was set up anew. "
        "Get a fresh join link from whoever runs it, over a way that you trust."
    )


class CertificateUntrusted(CoveyError):
    code = "certificate-untrusted"
    hint = "For a server with its own certificate use its join link (`covey-server join-link`): it carries the fingerprint."


class ClockOff(CoveyError):
    code = "clock-off"
    hint = "Set this machine's clock (`timedatectl set-ntp true`) and try again."


class NoPermission(CoveyError):
    code = "no-permission"
    hint = "Run it as root, or join the group `covey`."


class NoTunDevice(CoveyError):
    code = "no-tun-device"
    hint = "Load the driver (`modprobe tun`); in a container pass the device /dev/net/tun through."


class WireGuardMissing(CoveyError):
    code = "wireguard-missing"
    hint = "Install it: `apt install wireguard-go`, or use a kernel with WireGuard."


class PortTaken(CoveyError):
    code = "port-taken"
    hint = "Choose another with --wireguard-port, or stop the program that holds it."


class AlreadyRunning(CoveyError):
    code = "already-running"
    hint = "Stop the other one, or give this one its own --state-dir, --socket and --interface."


class StateUnreadable(CoveyError):
    code = "state-unreadable"
    hint = "The damaged file was kept beside it; join again with a setup key or a join link."


class GivenUp(CoveyError):
    """Somebody asked for something else meanwhile."""

    code = "given-up"
    hint = "See `covey status`; run `covey up` again if you want it up."


class NotSaved(CoveyError):
    code = "not-saved"
    hint = "Is the disk full or read-only? What you asked for is in force, but a restart would forget it."


class TimedOut(CoveyError):
    code = "timed-out"
    hint = "It goes on in the background; `covey status` shows how far it got."
    exit_code = 5


def known_errors() -> dict[str, type[CoveyError]]:
    """Every kind of error by its code: the wire carries code, sentence and hint."""
    found: dict[str, type[CoveyError]] = {}
    kinds = [CoveyError]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
        found.setdefault(kind.code, kind)  # a kind of a kind that has no code of its own travels as that
    return found


def error_from_wire(code: str, sentence: str, hint: str) -> CoveyError:
    """Make the error that the other side of a border raised; an unknown code becomes a plain CoveyError."""
    return known_errors().get(code, CoveyError)(sentence, hint or None)
