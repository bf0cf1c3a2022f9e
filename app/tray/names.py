"""Text from elsewhere, made fit for one line of a menu. Pure."""

import unicodedata

OPEN, CLOSE = "\u2068", "\u2069"  # first strong isolate, pop directional isolate (UAX #9)
MAX_MARKS = 2  # combining marks on one character


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


def menu_text(text: str) -> str:
    """Text for a menu, where `&` would underline the next character."""
    return text.replace("&", "&&")
