"""What the app knows at one moment: the helper, its last status, and what the app itself is doing. Pure.

Starting --answers--> Answering <--answers / no answer within 2 s--> Silent
    |                     |                                            |
    +-----no socket------>+----------------> Missing <-----------------+
                              (tried again for ever)
"""

import enum
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast

from app.login.prompt import Prompt
from protocol.errors import CoveyError, HelperNotRunning, NoPermission
from protocol.local_api import Preferences, ProfilesDocument, StatusDocument
from protocol.version import VERSION

SILENT_AFTER = 2.0  # seconds that a helper has to answer a question


class Helper(enum.Enum):
    STARTING = "starting"  # not asked yet
    MISSING = "missing"  # nobody listens at the socket, or not to us
    SILENT = "silent"  # it took the question and does not answer
    ANSWERING = "answering"


class Doing(enum.Enum):
    """A command that is under way; a person may cancel it."""

    CONNECTING = "connecting"
    DISCONNECTING = "disconnecting"
    SIGNING_IN = "signing in"
    SIGNING_OUT = "signing out"
    SWITCHING = "switching the account"


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as a person reads it."""

    code: str
    sentence: str
    hint: str

    @classmethod
    def of(cls, error: CoveyError) -> "Failure":
        return cls(error.code, str(error), error.hint)


@dataclass(frozen=True, slots=True)
class AppState:
    """Attributes:
    status: the last one that the helper told; None before the first and while the helper is missing.
    heard: when the helper last answered anything, in seconds since 1970; 0 for never.
    fault: why the helper is missing, or what is wrong with what it says; then there is no status.
    doing: the command under way.
    failure: what the last command failed with, until the next one begins or the tunnel is up.
    prompt: what the person has to do to sign in, while that is under way.
    """

    helper: Helper = Helper.STARTING
    status: StatusDocument | None = None
    heard: float = 0.0
    fault: Failure | None = None
    doing: Doing | None = None
    failure: Failure | None = None
    profiles: ProfilesDocument | None = None
    preferences: Preferences | None = None
    prompt: Prompt | None = None

    @property
    def is_outdated(self) -> bool:
        """The helper is of another version than this app."""
        return self.status is not None and self.status["daemonVersion"] != VERSION

    @property
    def is_up(self) -> bool:
        """The tunnel is up, as far as the last status tells."""
        return self.status is not None and self.status["daemonStatus"] == "Connected"

    @property
    def needs_sign_in(self) -> bool:
        return self.status is not None and self.status["daemonStatus"] == "NeedsLogin" and self.is_set_up

    @property
    def is_set_up(self) -> bool:
        """The helper knows a server to go to."""
        return self.status is not None and bool(self.status["management"]["url"])

    def answered(self, now: float) -> "AppState":
        """The helper answered in time."""
        return replace(self, helper=Helper.ANSWERING, heard=now, fault=None)

    def told(self, status: StatusDocument, now: float) -> "AppState":
        """A status came, perhaps late: a silent helper stays silent until it answers in time."""
        helper = Helper.SILENT if self.helper is Helper.SILENT else Helper.ANSWERING
        failure = None if status["daemonStatus"] == "Connected" and self.doing is None else self.failure
        return replace(self, helper=helper, status=status, heard=now, fault=None, failure=failure)

    def missed(self, error: CoveyError) -> "AppState":
        """Nobody listens, or nobody that we understand; what was known of the tunnel is not known any more."""
        helper = Helper.MISSING if isinstance(error, HelperNotRunning | NoPermission) else Helper.ANSWERING
        return replace(self, helper=helper, status=None, profiles=None, preferences=None, fault=Failure.of(error))

    def silenced(self) -> "AppState":
        """The helper did not answer in time."""
        return replace(self, helper=Helper.SILENT)

    def begun(self, doing: Doing) -> "AppState":
        return replace(self, doing=doing, failure=None, prompt=None)

    def ended(self, failure: Failure | None = None) -> "AppState":
        return replace(self, doing=None, failure=failure, prompt=None)


def moment(text: str) -> datetime | None:
    """A time of a status document; None for never and for what is no time."""
    try:
        found = datetime.fromisoformat(text)
        return None if found.year <= 1 else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def readable(status: Any) -> StatusDocument | None:
    """The document if it has all that the app shows of it; a helper of another version may say other things."""
    if not isinstance(status, dict) or not _matches(status, _STATUS):
        return None
    error = status.get("error")
    return cast(StatusDocument, status) if error is None or _matches(error, _ERROR) else None


_LINK = {"url": str, "connected": bool, "error": str, "since": str}
_ERROR = {"code": str, "sentence": str, "hint": str}
_WARNING = {"code": str, "sentence": str, "next": str, "since": str}
_ENDS = {"local": str, "remote": str}
_PEER = {
    "fqdn": str, "ip": str, "publicKey": str, "status": str, "connectionType": str, "iceCandidateType": _ENDS,
    "iceCandidateEndpoint": _ENDS, "relayAddress": str, "lastWireguardHandshake": str, "transferReceived": int,
    "transferSent": int, "latency": int, "lossPercent": (int, float), "pathSince": str, "pathMtu": int,
    "reason": str, "verdict": {"code": str, "sentence": str, "next": str},
}  # fmt: skip
_STATUS = {
    "daemonVersion": str, "daemonStatus": str, "notes": [str], "warnings": [_WARNING], "management": _LINK, "signal": _LINK,
    "relays": {"total": int, "available": int, "details": [{"uri": str, "available": bool, "transport": str, "error": str}]},
    "ip": str, "publicKey": str, "fqdn": str, "profile": str, "email": str, "sessionExpiresAt": str, "interface": str,
    "usesKernelInterface": bool, "wireguardPort": int, "networkMapSaved": bool, "networkMapAge": int, "candidates": [str],
    "peers": {"total": int, "connected": int, "details": [_PEER]},
}  # fmt: skip


def _matches(value: Any, shape: Any) -> bool:
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(name in value and _matches(value[name], one) for name, one in shape.items())
    if isinstance(shape, list):
        return isinstance(value, list) and all(_matches(one, shape[0]) for one in value)
    return isinstance(value, shape)
