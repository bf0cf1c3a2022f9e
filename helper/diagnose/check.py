"""What one look of the doctor found. Pure."""

from dataclasses import dataclass
from typing import TypedDict


class CheckBody(TypedDict):
    """`ok` is None for what does not apply or can't be told; `next` is empty where nothing is to be done."""

    id: str
    ok: bool | None
    sentence: str
    next: str


@dataclass(frozen=True, slots=True)
class Check:
    """`answered`: somebody answered over TCP, be it to say no."""

    ok: bool | None
    sentence: str
    next: str = ""
    answered: bool = False

    def body(self, name: str) -> CheckBody:
        return {"id": name, "ok": self.ok, "sentence": self.sentence, "next": self.next}


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.0095 else f"{seconds * 1000:.1f} ms"
