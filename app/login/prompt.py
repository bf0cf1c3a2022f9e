"""What a person has to do to sign in."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Prompt:
    """A page to open, here or on another machine.

    Attributes:
        kind: `browser`: it was opened here, and only a browser of this machine can come back; `device`: any browser will do.
        url: the page.
        user_code: to be typed there; empty where none is needed.
        expires_in: seconds until it is too late.
        complete_url: the page with the code filled in, for a QR code; the same as `url` where there is no such page.
        note: one more sentence that the person should read, perhaps empty.
    """

    kind: Literal["browser", "device"]
    url: str
    user_code: str
    expires_in: float
    complete_url: str
    note: str = ""


OnPrompt = Callable[[Prompt], None]
