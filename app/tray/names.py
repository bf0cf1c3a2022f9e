"""Text from elsewhere, made fit for one line of a menu. Pure."""

import functools
import unicodedata

OPEN, CLOSE = "\u2068", "\u2069"  # first strong isolate, pop directional isolate (UAX #9)
MAX_MARKS = 2  # combining marks on one character


@functools.lru_cache(maxsize=8192)  # thousands of names are asked for again with every status
def one_line(text: str, longest: int) -> str:
    """The text without control and direction characters, cut to so many characters.

    What is written from right to left is isolated, so that it does not turn the rest of the line round.
    """
    kept: list[str] = []
    marks = 0
    for character in text[: 4 * longest]:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= MAX_MARKS:
            kept.append(character if character.isprintable() else "?")
    cut = "".join(kept)
    if len(cut) > longest:
        cut = cut[: longest - 1].rstrip() + "…"
    is_rtl = any(unicodedata.bidirectional(character) in ("R", "AL", "AN") for character in cut)
    return f"{OPEN}{cut}{CLOSE}" if is_rtl else cut


def menu_text(text: str, key: str = "") -> str:
    """Text for a menu, where `&` would underline the next character; `key` is the letter that shall be underlined."""
    at = text.find(key) if key else -1
    before, after = (text, "") if at < 0 else (text[:at], text[at:])
    return before.replace("&", "&&") + ("&" if after else "") + after.replace("&", "&&")
