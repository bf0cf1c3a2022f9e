"""The tray's pictures, as Qt draws them."""

import functools
import sys

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QIcon

from app.tray.view import Icon
from resources import FOLDER


@functools.cache
def tray_icon(icon: Icon, variant: str) -> QIcon:
    """`variant` is light or dark, for panels that are so, or template: the system colours it."""
    found = QIcon(str(FOLDER / "icons" / f"{icon.value}-{variant}.svg"))
    found.setIsMask(variant == "template")
    return found


def app_icon() -> QIcon:
    return QIcon(str(FOLDER / "icons" / "covey.svg"))


def variant_of_this_desktop() -> str:
    if sys.platform == "darwin":
        return "template"
    is_dark = QGuiApplication.styleHints().colorScheme() is Qt.ColorScheme.Dark
    return "dark" if is_dark else "light"
