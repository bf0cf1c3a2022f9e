"""The app's own settings, one file for each person: atomic, and forgiving about what is in it."""

import contextlib
import json
import logging
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

log = logging.getLogger(__name__)

MAX_FILE = 64 * 1024  # bytes
FILE = "settings.json"


@dataclass(frozen=True, slots=True)
class AppSettings:
    """Attributes:
    silenced: the notifications that are switched off, by `app.tray.notices.Kind`'s values.
    told_about_tray: the person was told once that there is no tray here.
    """

    connect_on_start: bool = False
    silenced: frozenset[str] = frozenset()
    told_about_tray: bool = False

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "silenced": sorted(self.silenced)}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Take what is right; the rest keeps its default."""
        data = data if isinstance(data, dict) else {}
        flags = {name: data[name] for name in ("connect_on_start", "told_about_tray") if isinstance(data.get(name), bool)}
        silenced = data.get("silenced")
        names = frozenset(name for name in silenced if isinstance(name, str)) if isinstance(silenced, list) else frozenset()
        return cls(silenced=names, **flags)


def config_folder() -> Path:
    from platformdirs import user_config_path

    return user_config_path("covey", appauthor=False, roaming=False)


def load(folder: Path) -> AppSettings:
    """The settings; defaults where there are none or they can't be read."""
    try:
        with (folder / FILE).open("rb") as file:
            return AppSettings.from_json(json.loads(file.read(MAX_FILE)))
    except FileNotFoundError:
        return AppSettings()
    except (OSError, ValueError, RecursionError) as error:
        log.warning("the settings can't be read, so defaults are used: %s", error)
        return AppSettings()


def save(folder: Path, settings: AppSettings) -> None:
    """Write them so that a crash leaves the old or the new ones. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(dir=folder, prefix=FILE)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(settings.to_json(), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, folder / FILE)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


class Kept:
    """The settings in force, and where they are kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.now = load(folder)

    def keep(self, wanted: AppSettings) -> None:
        """Raises OSError when they can't be written; they are in force all the same."""
        self.now = wanted
        save(self._folder, wanted)
