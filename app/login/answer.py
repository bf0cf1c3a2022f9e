"""What a provider answers, and its refusals as sentences. Pure."""

from dataclasses import dataclass
from typing import Any

from protocol.errors import CoveyError, SignInGivenUp, SignInRefused, SignInUnavailable

MAX_REASON = 200  # characters of a provider's own words


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` is empty where the answer was no JSON object."""

    status: int
    body: dict[str, Any]

    def __repr__(self) -> str:
        return f"Answer({self.status}, {self.error!r})"  # what else is in it may be secret

    @property
    def error(self) -> str:
        """The code of a refusal (RFC 6749, section 5.2); empty where there is none."""
        found = self.body.get("error")
        return found if isinstance(found, str) else ""

    @property
    def is_success(self) -> bool:
        return self.status == 200 and bool(self.body) and "error" not in self.body

    def failure(self) -> CoveyError:
        """Why it is no success."""
        if not self.error:
            return SignInUnavailable(f"The sign-in provider's answer makes no sense (HTTP {self.status}).")
        description = self.body.get("error_description")
        return refusal(self.error, description if isinstance(description, str) else "")


def refusal(code: str, description: str) -> CoveyError:
    """An error of a provider (RFC 6749, sections 4.1.2.1 and 5.2; RFC 8628, section 3.5); its own words short and harmless."""
    match code:
        case "access_denied":
            return SignInGivenUp("The sign-in was refused in the browser.")
        case "expired_token":
            return SignInGivenUp("Nobody typed the code in time.")
        case "slow_down":
            return SignInUnavailable("The sign-in provider got too many requests from here.", "Wait a minute, then try again.")
        case "server_error" | "temporarily_unavailable":
            return SignInUnavailable("The sign-in provider has trouble and asks to try later.")
        case "invalid_client" | "unauthorized_client":
            return SignInRefused(
                "The sign-in provider does not know Covey, or not this way of signing in.",
                "Whoever runs the server should check the client id at its provider.",
            )
        case _:
            shown = _harmless(description) or _harmless(code) or "it gave no reason"
            return SignInRefused(f"The sign-in provider refused: {shown.rstrip('.')}.", "Sign in again.")


def _harmless(text: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text[:MAX_REASON]).split())
