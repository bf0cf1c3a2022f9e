"""Draws `icons/*.svg`: the tray's seven states in three variants, and the app's icon. `python -m resources.draw`.

A state has a shape of its own on a grid of 16 units, so that colour is never needed to tell it: three birds of a covey,
hollow, in a row, joined, by way of a square (the relay); a key; a warning sign; a sign that forbids. On panels of unknown
colour a thin rim in the opposite shade keeps a shape readable. The template variant is black with transparency, for macOS.
"""

import re

from resources import FOLDER

# ink, rim, accent, warning
VARIANTS = {
    "light": ("#16202a", "#ffffff", "#0f7a5f", "#b3400f"),  # for light panels
    "dark": ("#f4f7f6", "#10181a", "#63dcb8", "#ffb066"),  # for dark panels
    "template": ("#000000", "", "#000000", "#000000"),
}

TOP, LEFT, RIGHT = (8.0, 3.7), (3.4, 12.2), (12.6, 12.2)


def dot(at: tuple[float, float], fill: str, radius: float = 2.6) -> str:
    return f'<circle cx="{at[0]}" cy="{at[1]}" r="{radius}" fill="{fill}"/>'


def ring(at: tuple[float, float], ink: str, radius: float = 2.1, width: float = 1.6) -> str:
    return f'<circle cx="{at[0]}" cy="{at[1]}" r="{radius}" fill="none" stroke="{ink}" stroke-width="{width}"/>'


def line(path: str, ink: str, width: float = 1.6) -> str:
    drawn = f'fill="none" stroke="{ink}" stroke-width="{width}" stroke-linecap="round" stroke-linejoin="round"'
    return f'<path d="{path}" {drawn}/>'


def disconnected(ink: str, accent: str, warning: str) -> str:
    return ring(TOP, ink) + ring(LEFT, ink) + ring(RIGHT, ink)


def connecting(ink: str, accent: str, warning: str) -> str:
    """Three in a row: they are on their way."""
    return dot((2.8, 8), ink, 2.0) + dot((8, 8), accent, 2.3) + dot((13.2, 8), ink, 2.0)


def connected(ink: str, accent: str, warning: str) -> str:
    return line("M8 3.7 3.4 12.2h9.2Z", accent, 1.9) + dot(TOP, accent) + dot(LEFT, accent) + dot(RIGHT, accent)


def relayed(ink: str, accent: str, warning: str) -> str:
    """No line between the two: all goes over a square at the top."""
    square = f'<rect x="4.9" y="1" width="6.2" height="5.2" rx=".7" fill="{warning}"/>'
    return line("M7 6 3.4 12.2M9 6l3.6 6.2", ink, 1.7) + square + dot(LEFT, ink) + dot(RIGHT, ink)


def needs_sign_in(ink: str, accent: str, warning: str) -> str:
    """A key."""
    return ring((5, 8), warning, 3.1, 2.0) + line("M8.2 8H14.6M14.4 8v3.2M11.4 8v2.4", warning, 2.0)


def trouble(ink: str, accent: str, warning: str) -> str:
    """A warning sign; `tray_icon` adds the mark in it."""
    return f'<path d="M8 1.6 15.1 14H.9Z" fill="{warning}" stroke="{warning}" stroke-width="1.2" stroke-linejoin="round"/>'


def helper_missing(ink: str, accent: str, warning: str) -> str:
    """A sign that forbids: nothing works."""
    return ring((8, 8), warning, 5.9, 1.9) + line("M4.2 11.8 11.8 4.2", warning, 1.9)


STATES = {
    "disconnected": disconnected,
    "connecting": connecting,
    "connected": connected,
    "relayed": relayed,
    "needs-sign-in": needs_sign_in,
    "trouble": trouble,
    "helper-missing": helper_missing,
}


def tray_icon(state: str, variant: str) -> str:
    ink, rim, accent, warning = VARIANTS[variant]
    shape = STATES[state](ink, accent, warning)
    body = f'<g opacity=".75">{rimmed(shape, rim)}</g>{shape}' if rim else shape
    if state == "trouble":
        mark = "M8 5.7v4M8 12h.01"
        if rim:
            body += line(mark, rim, 1.7)
        else:  # a template has no second colour: the mark is cut out
            mask = f'<mask id="m"><rect width="16" height="16" fill="#fff"/>{line(mark, "#000", 1.7)}</mask>'
            body = f'{mask}<g mask="url(#m)">{shape}</g>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16" width="16" height="16">{body}</svg>\n'


def rimmed(shape: str, rim: str) -> str:
    """The same shape, all in the rim's colour and 0.6 units wider on every side."""
    shape = re.sub(r'stroke-width="([\d.]+)"', lambda found: f'stroke-width="{float(found[1]) + 1.2:g}"', shape)
    shape = re.sub(r'(fill|stroke)="#\w+"', rf'\1="{rim}"', shape)
    return re.sub(r'(<(?:circle|rect)[^>]*fill="#\w+")/>', rf'\1 stroke="{rim}" stroke-width="1.2"/>', shape)


def app_icon() -> str:
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64" width="64" height="64">'
        '<rect x="2" y="2" width="60" height="60" rx="14" fill="#14735c"/>'
        '<path d="M32 20 17 45h30Z" fill="none" stroke="#bfe9db" stroke-width="3.6" stroke-linejoin="round"/>'
        '<circle cx="32" cy="19" r="8" fill="#ffffff"/><circle cx="17" cy="45" r="8" fill="#ffffff"/>'
        '<circle cx="47" cy="45" r="8" fill="#ffffff"/></svg>\n'
    )


def drawings() -> dict[str, str]:
    """Every file's name and content."""
    found = {f"{state}-{variant}.svg": tray_icon(state, variant) for state in STATES for variant in VARIANTS}
    return {**found, "covey.svg": app_icon()}


if __name__ == "__main__":
    for name, text in drawings().items():
        (FOLDER / "icons" / name).write_text(text)
