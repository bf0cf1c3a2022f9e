"""A person's desktop on a machine of the lab: a screen, a window manager, a tray, a browser, and a hand on mouse and keyboard."""

import itertools
import json
import os
import re
import shlex
import stat
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from tests.lab.node import LabError, Node, Process, end, wait_for
from tests.lab.programs import BIN, Member

WIDTH, HEIGHT = 1280, 800
MENU = 200  # pixels that a menu is high at least; a notification is not
COLOURS = 5  # that an icon has at least
SCREENS, MOST_SCREENS = 16, 50_000  # of one process, and of all
PANEL = 32  # pixels of the tray's height, at the lower right
BROWSER_FLAGS = (
    "--no-sandbox --no-first-run --no-default-browser-check --disable-gpu --disable-dev-shm-usage --password-store=basic "
    "--disable-background-networking --disable-component-update --disable-sync --disable-extensions --lang=en-US "
    "--disable-features=Translate,MediaRouter,OptimizationHints,AutofillServerCommunication,PasswordManagerOnboarding "
    "--test-type --window-size=1000,700 --window-position=40,20 --start-maximized=false"
)
SLOW = 90.0  # seconds that a browser may take to show a page on a busy machine


@dataclass(eq=False)
class Desktop:
    """Started at once; `pictures` is where screenshots are kept, numbered."""

    node: Node
    pictures: Path
    display: str = field(init=False)
    taken: int = 0
    _count: ClassVar = itertools.count()

    def __post_init__(self) -> None:
        self.pictures.mkdir(parents=True, exist_ok=True)
        self.home = self.node.scratch / f"{self.node.name}-home"
        self.run_dir = self.home / "run"
        self.run_dir.mkdir(parents=True, mode=0o700)
        self._start_screen()
        bus = self.run_dir / "bus"
        self.node.spawn("dbus", "dbus-daemon", "--session", "--nofork", f"--address=unix:path={bus}")
        wait_for("the session bus", bus.exists)
        self.environment = {
            "DISPLAY": self.display,
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={bus}",
            "HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(self.run_dir),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "XDG_DATA_HOME": str(self.home / "data"),
            "XDG_CURRENT_DESKTOP": "openbox",
            "BROWSER": str(self._browser_script()),
            "QT_QPA_PLATFORM": "xcb",
            "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
        }
        self.spawn("openbox", "openbox")
        manager = ("xprop", "-root", "_NET_SUPPORTING_WM_CHECK")
        wait_for("the window manager is there", lambda: "window id" in self.run(*manager, check=False))
        self.start_tray()  # not before: a panel that appears while the manager starts may never be shown

    # ---- programs

    def spawn(self, title: str, *words: str) -> Process:
        """Start a program of this person."""
        return self.node.spawn(title, *self._as_person(words))

    def run(self, *words: str, check: bool = True) -> str:
        return self.node.run(*self._as_person(words), check=check).stdout

    def words(self, *words: str) -> tuple[str, ...]:
        """How a program of this person is started from outside the machine."""
        return ("ip", "netns", "exec", self.node.namespace, *self._as_person(words))

    def start_tray(self) -> None:
        self.tray = self.spawn(
            "trayer",
            *("trayer", "--edge", "bottom", "--align", "right", "--widthtype", "request", "--heighttype", "pixel"),
            *("--height", str(PANEL), "--SetDockType", "true", "--SetPartialStrut", "true", "--tint", "0xdddddd", "--alpha", "0"),
        )
        # perhaps it shows itself only with an icon in it; its second window, which nobody sees, is where programs find it
        own = ("xdotool", "search", "--name", "^trayer$")
        wait_for("the tray is there", lambda: len(self.run(*own, check=False).split()) > 1)

    def stop_tray(self) -> None:
        end(self.tray)

    def start_covey(self, member: Member, *flags: str) -> Process:
        """Start the tray program for a member's helper, and wait until its icon is there."""
        started = self.spawn("covey-tray", str(BIN / "covey-tray"), "--socket", str(member.socket), *flags)

        def is_shown() -> bool:
            if started.poll() is not None:
                raise LabError(f"covey-tray ended: {self.node.log('covey-tray')[-600:]}")
            return self.is_icon_drawn()

        wait_for("the icon is in the tray", is_shown)
        return started

    def open_link(self, member: Member, link: str) -> None:
        """As a desktop does with a covey:// link that somebody clicked."""
        self.run(str(BIN / "covey-tray"), "--socket", str(member.socket), link)

    # ---- eyes

    def windows(self, title: str) -> list[str]:
        """Numbers of the visible windows whose title matches."""
        return self.run("xdotool", "search", "--onlyvisible", "--name", title, check=False).split()

    def wait_window(self, title: str, seconds: float = SLOW) -> str:
        return wait_for(f"a window called {title!r}", lambda: self.windows(title), seconds)[0]

    def gone(self, title: str, seconds: float = SLOW) -> None:
        wait_for(f"no window called {title!r}", lambda: not self.windows(title), seconds)

    def picture(self, name: str) -> Path:
        """Keep a screenshot."""
        self.taken += 1
        file = self.pictures / f"{self.taken:02}-{name}.png"
        self.run("import", "-window", "root", str(file))
        return file

    def wait_menu(self) -> None:
        """Wait for a menu: a window without a frame and without a title."""
        wait_for("a menu is open", lambda: self.menus())

    def menus(self) -> list[str]:
        """Open menus: windows on the screen that have neither a name nor a frame, and are higher than a notification."""
        told = self.run("xwininfo", "-root", "-children")
        found = re.findall(r"(0x[0-9a-f]+) \(has no name\): \(\)\s+\d+x(\d+)\+", told)
        tall = [window for window, height in found if MENU < int(height) < HEIGHT - PANEL]
        return [window for window in tall if "IsViewable" in self.run("xwininfo", "-id", window, check=False)]

    def icon_place(self) -> tuple[int, int]:
        """The middle of the tray's last icon."""
        window = self.wait_window("panel")
        told = self.run("xdotool", "getwindowgeometry", "--shell", window)
        place = {key: int(value) for key, value in re.findall(r"^([A-Z]+)=(\d+)$", told, re.MULTILINE)}
        return place["X"] + place["WIDTH"] - PANEL // 2, place["Y"] + place["HEIGHT"] // 2

    def icon_picture(self) -> bytes:
        """The pixels of the tray's icon, to tell one state from another."""
        x, y = self.icon_place()
        half = PANEL // 2
        grab = ("import", "-window", "root", "-crop", f"{PANEL}x{PANEL}+{x - half}+{y - half}", "+repage", "rgb:-")
        done = subprocess.run(self.words(*grab), capture_output=True, check=True, timeout=60)
        return done.stdout

    def is_icon_drawn(self) -> bool:
        """Whether there is more in the tray's place than the ground."""
        pixels = self.icon_picture()
        return len({pixels[at : at + 3] for at in range(0, len(pixels), 3)}) > COLOURS

    # ---- hands

    def click(self, x: int, y: int, button: int = 1) -> None:
        self.run("xdotool", "mousemove", "--sync", str(x), str(y), "click", str(button))

    def click_icon(self, button: int = 1) -> None:
        self.click(*self.icon_place(), button)

    def choose(self, letter: str) -> None:
        """Open the tray's menu and take the only line that begins with this letter: `d` for Disconnect, `c` for Connect."""
        self.click_icon(3)
        self.wait_menu()
        self.picture("menu")
        self.keys(letter)

    def keys(self, *names: str) -> None:
        self.run("xdotool", "key", "--clearmodifiers", *names)

    def type(self, text: str) -> None:
        self.run("xdotool", "type", "--clearmodifiers", "--delay", "15", text)

    def focus(self, window: str) -> None:
        self.run("xdotool", "windowactivate", "--sync", window)

    # ---- how

    def _as_person(self, words: tuple[str, ...]) -> tuple[str, ...]:
        return ("env", *(f"{key}={value}" for key, value in self.environment.items()), *words)

    def _start_screen(self) -> None:
        """A screen with a number that no other lab has: the sockets of all screens lie in one folder, whatever their network.

        It does not start anew when its last client leaves, which would turn away whoever comes just then.
        """
        told, number_here = self.run_dir / "display", 100 + (os.getpid() * SCREENS + next(self._count)) % MOST_SCREENS
        screen_is = f":{number_here} -screen 0 {WIDTH}x{HEIGHT}x24 -nolisten tcp -noreset"
        words = f"exec Xvfb {screen_is} -displayfd 3 3>{shlex.quote(str(told))}"
        screen = self.node.spawn("xvfb", "sh", "-c", words)

        def number() -> str:
            if screen.poll() is not None:
                raise LabError(f"Xvfb ended: {self.node.log('xvfb')[-400:]}")
            text = told.read_text() if told.exists() else ""
            return text.strip() if text.endswith("\n") else ""

        self.display = ":" + wait_for("the screen is there", number)

    def _browser_script(self) -> Path:
        """What `BROWSER` names: the real Chromium, with a profile of its own."""
        file = self.home / "browser"
        profile = self.home / "chromium"
        (profile / "Default").mkdir(parents=True)
        quiet = {"credentials_enable_service": False, "profile": {"password_manager_enabled": False}}
        (profile / "Default/Preferences").write_text(json.dumps(quiet))
        file.write_text(
            f'#!/bin/sh\nexec chromium {BROWSER_FLAGS} --user-data-dir={profile} "$@" >>{self.home}/chromium.log 2>&1\n'
        )
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
        return file
