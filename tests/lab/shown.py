"""What a person sees of the tray program, read off the screen: which picture the icon is, and what the window says.

The icon's pixels are compared to the drawings that the app comes with; the window's state is its title. Nothing is asked of
the program itself, which might believe to show something else.
"""

import itertools
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import cache

from PySide6.QtCore import QRectF
from PySide6.QtGui import QColor, QImage, QPainter
from PySide6.QtSvg import QSvgRenderer

from app.tray.view import Icon
from resources import FOLDER
from tests.lab.desktop import PANEL, Desktop
from tests.lab.node import wait_for

SIZE = 22  # pixels that Qt's icon is wide and high in this tray
WIDTH, HEIGHT = SIZE + 4, SIZE + 2  # of the place where it stands: at times the tray is a pixel wider than the icon needs
GROUND = "#dcdad5"  # the tray's colour
FAR = 10.0  # mean difference of a pixel's part, 0 to 255: it is below 0.1 for the right icon, and 30 and more between two icons
TITLE = "^Covey: "

Pixels = Sequence[int]


@cache
def drawing(icon: Icon) -> Pixels:
    """How the icon looks in the tray: red, green and blue of each pixel, line by line."""
    image = QImage(SIZE, SIZE, QImage.Format.Format_RGB32)
    image.fill(QColor(GROUND))
    painter = QPainter(image)
    QSvgRenderer(str(FOLDER / "icons" / f"{icon.value}-light.svg")).render(painter, QRectF(0, 0, SIZE, SIZE))
    painter.end()
    data = bytes(image.constBits())  # blue, green, red, nothing
    return [data[at + part] for at in range(0, len(data), 4) for part in (2, 1, 0)]


def nearest(pixels: Pixels) -> Icon | None:
    """The icon that stands somewhere in this piece of the screen, WIDTH by HEIGHT; None if there is none."""
    found, smallest = None, FAR
    for left, top in itertools.product(range(WIDTH - SIZE + 1), range(HEIGHT - SIZE + 1)):
        starts = [3 * ((top + line) * WIDTH + left) for line in range(SIZE)]
        part = [value for start in starts for value in pixels[start : start + 3 * SIZE]]
        for icon in Icon:
            if (far := distance(part, drawing(icon))) < smallest:
                found, smallest = icon, far
    return found


def distance(one: Pixels, other: Pixels) -> float:
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / len(one)


class Shown:
    """Eyes on one desktop. How long each change took is written to `pictures/times.txt`; no test depends on it."""

    def __init__(self, desktop: Desktop) -> None:
        self.desktop = desktop
        self._times = desktop.pictures / "times.txt"

    def icon(self) -> Icon | None:
        """What the tray shows now; None if that is none of our icons."""
        x, y = self.desktop.icon_place()
        left, top = x + PANEL // 2 - WIDTH, y - HEIGHT // 2
        grab = ("import", "-window", "root", "-crop", f"{WIDTH}x{HEIGHT}+{left}+{top}", "+repage", "-depth", "8", "rgb:-")
        words = self.desktop.words(*grab)
        pixels = subprocess.run(words, capture_output=True, check=True, timeout=60).stdout
        return nearest(pixels) if len(pixels) == 3 * WIDTH * HEIGHT else None

    def line(self) -> str:
        """The state that the window's title tells; empty if there is no window on the screen."""
        titles = [self.desktop.run("xdotool", "getwindowname", window, check=False) for window in self.desktop.windows(TITLE)]
        return next((title.strip().removeprefix("Covey: ") for title in titles if title.startswith("Covey: ")), "")

    def wait(self, icon: Icon, line: str, since: float | None = None) -> None:
        """Wait until icon and window say that; `line` is a pattern. `since`: when it became true, by time.monotonic()."""
        self._wait(f"the window says {line}", lambda: re.search(line, self.line()) is not None, since)
        self.wait_icon(icon, since)

    def wait_icon(self, icon: Icon, since: float | None = None) -> None:
        self._wait(f"the icon is {icon.value}", lambda: self.icon() is icon, since)

    def _wait(self, what: str, attempt: Callable[[], bool], since: float | None) -> None:
        begun = time.monotonic()
        wait_for(what, attempt)
        with self._times.open("a") as times:
            times.write(f"{time.monotonic() - (begun if since is None else since):6.2f} s  {what}\n")


READ_CLIPBOARD = "from PySide6.QtWidgets import QApplication as A; a = A([]); print(a.clipboard().text())"


def copied(desktop: Desktop, window: str, pattern: str) -> str:
    """Go from field to field with Tab and copy, until what is copied is like the pattern: as a person takes a code along."""

    def next_field() -> str:
        desktop.focus(desktop.wait_window(window))
        desktop.keys("Tab", "ctrl+a", "ctrl+c")
        text = desktop.run(sys.executable, "-c", READ_CLIPBOARD).strip()
        return text if re.fullmatch(pattern, text) else ""

    return wait_for(f"a field with {pattern}", next_field)
