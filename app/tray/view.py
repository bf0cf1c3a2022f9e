"""What the tray shows, as a value that can be compared: icon, tooltip and menu. Pure.

Names come from elsewhere: they are shown as they are, without what would order the text about, and never as markup.
"""

import enum
from dataclasses import dataclass
from datetime import UTC, datetime

from app.cli.words import sentence, short_name
from app.state import AppState, Doing, Helper, moment
from app.tray.names import one_line
from protocol.local_api import PeerStatus, StatusDocument, WarningBody
from protocol.version import VERSION

MAX_PEERS = 30  # in the menu; the window has them all
SESSION_ENDS = "session-expires-soon"  # the code of a warning
MAX_LINE = 90  # characters of a line of the menu
MAX_TOOLTIP = 127  # characters; Windows cuts what is beyond


class Icon(enum.Enum):
    """The value names the drawing in `resources/icons`."""

    DISCONNECTED = "disconnected"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    RELAYED = "relayed"
    NEEDS_SIGN_IN = "needs-sign-in"
    TROUBLE = "trouble"
    HELPER_MISSING = "helper-missing"


class Do(enum.Enum):
    CONNECT = "connect"
    DISCONNECT = "disconnect"
    CANCEL = "cancel"
    SIGN_IN = "sign in"
    COPY = "copy"
    USE_PROFILE = "use profile"
    ACCOUNTS = "accounts"
    OPEN = "open"
    SETTINGS = "settings"
    TROUBLESHOOT = "troubleshoot"
    ABOUT = "about"
    QUIT = "quit"


@dataclass(frozen=True, slots=True)
class Action:
    """What a click asks for; `value` is the text to copy or the profile to use."""

    do: Do
    value: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """A line of the menu: with an action, with a submenu, or only to read.

    `is_checked` None: it can't be checked. `key`: the letter of the text that chooses the line while the menu is open.
    """

    text: str
    action: Action | None = None
    items: tuple["Entry", ...] = ()
    is_enabled: bool = True
    is_checked: bool | None = None
    key: str = ""


@dataclass(frozen=True, slots=True)
class Separator:
    pass


Entry = Item | Separator


@dataclass(frozen=True, slots=True)
class TrayView:
    icon: Icon
    state: str  # the state line
    tooltip: str
    menu: tuple[Entry, ...]


def tray_view(state: AppState, now: datetime) -> TrayView:
    """`now` in UTC; nothing here changes more often than once a minute by time alone."""
    line, details = state_line(state, now), detail_lines(state, now)
    return TrayView(icon_of(state), line, _tooltip(line, details, state.status), _menu(state, line, details))


# ---- the state in one picture and in words


def icon_of(state: AppState) -> Icon:
    status = state.status
    if state.helper is Helper.MISSING:
        return Icon.HELPER_MISSING
    if state.helper is Helper.SILENT or state.is_outdated:
        return Icon.TROUBLE
    if state.doing in (Doing.CONNECTING, Doing.SIGNING_IN):
        return Icon.CONNECTING
    if status is None:
        return Icon.TROUBLE if state.fault else Icon.DISCONNECTED
    match status["daemonStatus"]:
        case "Connected":
            return _path_icon(status)
        case "Connecting":
            if status["peers"]["connected"]:
                return _path_icon(status)
            return Icon.TROUBLE if status["error"] else Icon.CONNECTING
        case "NeedsLogin":
            return Icon.NEEDS_SIGN_IN if state.is_set_up else Icon.DISCONNECTED
        case "Idle":
            return Icon.TROUBLE if status["error"] or state.failure else Icon.DISCONNECTED
        case _:
            return Icon.TROUBLE


def state_line(state: AppState, now: datetime) -> str:
    """The state in a few words."""
    status = state.status
    match state.helper:
        case Helper.STARTING:
            return "Looking for Covey's helper"
        case Helper.MISSING:
            return "Covey's helper is not running"
        case Helper.SILENT:
            return f"Covey's helper has not answered since {_clock(state.heard, now)}"
        case Helper.ANSWERING:
            pass
    match state.doing:
        case Doing.CONNECTING:
            return "Connecting…"
        case Doing.DISCONNECTING:
            return "Disconnecting…"
        case Doing.SIGNING_IN:
            return "Waiting for you to sign in…"
        case Doing.SIGNING_OUT:
            return "Signing out…"
        case Doing.SWITCHING:
            return "Changing the account…"
        case None:
            pass
    return _tunnel_line(state, status) if status is not None else "Covey's helper does not fit this app"


def detail_lines(state: AppState, now: datetime, longest: int = MAX_LINE, *, warnings: bool = True) -> tuple[str, ...]:
    """What else there is to say: why, what to do, how long the session lasts; each in so many characters.

    `warnings` False: without the helper's, which are shown elsewhere.
    """
    lines: list[str] = []
    status = state.status
    if state.fault is not None:
        lines += [state.fault.sentence, state.fault.hint]
    elif state.helper is Helper.SILENT and status is not None:
        lines.append(f"It said then: {_tunnel_line(state, status)}")
    elif status is not None:
        if state.is_outdated:
            helper = one_line(status["daemonVersion"], 20)
            lines.append(f"The helper is version {helper}, this app {VERSION}: start both anew after an update")
        if state.failure is not None:
            lines += [state.failure.sentence, state.failure.hint]
        elif status["error"] is not None and state.doing is None and _is_news(state, status):
            lines.append(status["error"]["sentence"])
            if not state.needs_sign_in:  # otherwise there is something to click that says what to do
                lines.append(status["error"]["hint"])
        if warnings:
            lines += [warning["sentence"] for warning in shown_warnings(state)]
        lines += status["notes"]
        if status["daemonStatus"] not in ("NeedsLogin", "LoginFailed") and (countdown := session_line(status, now)):
            lines.append(countdown)
    return tuple(one_line(sentence(line), longest) for line in lines if line)


def shown_warnings(state: AppState) -> list[WarningBody]:
    """The helper's warnings while the tunnel is up; of a session's end the app tells by itself, as it may renew it."""
    if state.status is None or state.helper is not Helper.ANSWERING or not state.is_up:
        return []
    return [warning for warning in state.status["warnings"] if warning["code"] != SESSION_ENDS]


def _is_news(state: AppState, status: StatusDocument) -> bool:
    """That a machine which nobody set up is not let in says nothing."""
    return state.is_set_up or status["daemonStatus"] != "NeedsLogin"


def session_line(status: StatusDocument, now: datetime) -> str:
    """How long the person stays signed in; empty where the session does not end."""
    ends = moment(status["sessionExpiresAt"])
    if ends is None:
        return ""
    seconds = int((ends - now).total_seconds())
    if seconds <= 0:
        return "The session has ended: sign in again"
    minutes = max(1, seconds // 60)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        span = f"{days} d {hours} h" if hours else f"{days} d"
    elif hours:
        span = f"{hours} h {minutes} min" if minutes else f"{hours} h"
    else:
        span = f"{minutes} min"
    return f"Sign in again in {span}"


def _tunnel_line(state: AppState, status: StatusDocument) -> str:
    peers = status["peers"]
    counted = f"{peers['connected']} of {peers['total']} peers"
    match status["daemonStatus"]:
        case "Connected":
            if not peers["total"]:
                return "Connected, no other device yet"
            how = "Connected by relay" if _path_icon(status) is Icon.RELAYED else "Connected"
            return f"{how} with a warning, {counted}" if shown_warnings(state) else f"{how}, {counted}"
        case "Connecting" if peers["connected"]:
            return f"Connected to {counted}; the server is not reached"
        case "Connecting":
            return "Connecting…"
        case "NeedsLogin":
            return "You need to sign in" if state.is_set_up else "Not set up yet"
        case "LoginFailed":
            return "The server refused this device"
        case "Idle":
            return "Disconnected" if state.is_set_up else "Not set up yet"
        case other:
            return one_line(other, 40)


def _path_icon(status: StatusDocument) -> Icon:
    """Connected; by the relay only if not a single peer has a direct path."""
    kinds = {peer["connectionType"] for peer in status["peers"]["details"] if peer["status"] == "Connected"}
    return Icon.RELAYED if kinds == {"Relayed"} else Icon.CONNECTED


def _tooltip(line: str, details: tuple[str, ...], status: StatusDocument | None) -> str:
    lines = [f"Covey: {line}"]
    if status is not None and status["ip"]:
        lines.append(f"{one_line(own_name(status), 40)}  {own_address(status)}")
    lines += details[:2]
    text = "\n".join(lines)
    return text if len(text) <= MAX_TOOLTIP else text[: MAX_TOOLTIP - 1] + "…"


# ---- the menu


def _menu(state: AppState, line: str, details: tuple[str, ...]) -> tuple[Entry, ...]:
    return (
        Item(line, Action(Do.OPEN)),
        *(Item(detail, Action(Do.TROUBLESHOOT)) for detail in details[:3]),
        Separator(),
        _main_item(state),
        _sign_in_item(state),
        Separator(),
        _this_device(state.status),
        _peers(state.status),
        _nothing_offered("Networks"),
        _nothing_offered("Exit node"),
        _accounts(state),
        Separator(),
        Item("Open Covey", Action(Do.OPEN), key="O"),
        Item("Settings…", Action(Do.SETTINGS), key="e"),
        Item("Troubleshoot…", Action(Do.TROUBLESHOOT), key="T"),
        Item("About Covey", Action(Do.ABOUT), key="A"),
        Separator(),
        Item("Quit", Action(Do.QUIT), key="Q"),
    )


def _main_item(state: AppState) -> Item:
    """Connect, Disconnect or Cancel: whatever makes sense next."""
    is_there = state.helper is Helper.ANSWERING and state.status is not None
    if state.doing is not None:
        return Item("Cancel", Action(Do.CANCEL), is_enabled=state.doing is not Doing.DISCONNECTING, key="C")
    if state.status is not None and state.status["daemonStatus"] in ("Connected", "Connecting"):
        return Item("Disconnect", Action(Do.DISCONNECT), is_enabled=is_there, key="D")
    return Item("Connect", Action(Do.CONNECT), is_enabled=is_there, key="C")


def _sign_in_item(state: AppState) -> Item:
    can = state.helper is Helper.ANSWERING and state.is_set_up and state.doing is None
    return Item("Sign in…" if state.needs_sign_in else "Sign in again…", Action(Do.SIGN_IN), is_enabled=can, key="S")


def _this_device(status: StatusDocument | None) -> Item:
    if status is None or not status["ip"]:
        return Item("This device", is_enabled=False)
    name, address = own_name(status), own_address(status)
    return Item(
        f"This device: {one_line(short_own_name(status), 40)}",
        items=(
            Item(one_line(name, MAX_LINE), is_enabled=False),
            Item(one_line(address, MAX_LINE), is_enabled=False),
            Separator(),
            Item("Copy name", Action(Do.COPY, name), is_enabled=bool(name)),
            Item("Copy address", Action(Do.COPY, address)),
        ),
    )


def _peers(status: StatusDocument | None) -> Item:
    if status is None or not status["peers"]["details"]:
        return Item("Peers", is_enabled=False)
    peers = sorted(status["peers"]["details"], key=lambda peer: (peer["status"] != "Connected", peer["fqdn"], peer["ip"]))
    lines: list[Entry] = [Item(peer_line(peer), Action(Do.COPY, peer["ip"])) for peer in peers[:MAX_PEERS]]
    if (more := len(peers) - MAX_PEERS) > 0:
        lines += [Separator(), Item(f"{more} more in the window…", Action(Do.OPEN))]
    counts = status["peers"]
    return Item(f"Peers ({counts['connected']} of {counts['total']} connected)", items=tuple(lines))


def peer_line(peer: PeerStatus) -> str:
    """`bob: direct, 12 ms`."""
    name = one_line(short_name(peer), 40)
    if peer["status"] != "Connected":
        return f"{name}: {'connecting…' if peer['status'] == 'Connecting' else 'not connected'}"
    path = {"P2P": "direct", "Relayed": "by relay"}.get(peer["connectionType"], "connected")
    return f"{name}: {path}, {latency(peer['latency'])}" if peer["latency"] else f"{name}: {path}"


def latency(nanoseconds: int) -> str:
    milliseconds = nanoseconds / 1e6
    return f"{milliseconds:.0f} ms" if milliseconds >= 1 else "under 1 ms"


def _nothing_offered(title: str) -> Item:
    """The helper routes no networks yet, and says so."""
    return Item(title, items=(Item("None offered", is_enabled=False),))


def _accounts(state: AppState) -> Item:
    profiles = state.profiles
    can = state.helper is Helper.ANSWERING and state.doing is None
    lines: list[Entry] = []
    if profiles is not None:
        for profile in profiles["profiles"][:MAX_PEERS]:
            name = profile["name"]
            who = f" ({profile['email']})" if profile["email"] else ""
            lines.append(
                Item(one_line(name + who, 60), Action(Do.USE_PROFILE, name), (), can, is_checked=name == profiles["active"])
            )
        lines.append(Separator())
    lines.append(Item("Manage accounts…", Action(Do.ACCOUNTS), is_enabled=state.helper is Helper.ANSWERING))
    active = state.status["profile"] if state.status else ""
    return Item(f"Account: {one_line(active, 40)}" if active else "Accounts", items=tuple(lines))


# ---- words


def own_name(status: StatusDocument) -> str:
    return status["fqdn"]


def short_own_name(status: StatusDocument) -> str:
    return status["fqdn"].partition(".")[0] or own_address(status)


def own_address(status: StatusDocument) -> str:
    """The overlay address without its prefix length."""
    return status["ip"].partition("/")[0]


def _clock(seconds: float, now: datetime) -> str:
    """A moment as a person's clock shows it; with the date if it is not of today."""
    if not seconds:
        return "the start"
    then = datetime.fromtimestamp(seconds, UTC).astimezone()
    return then.strftime("%H:%M:%S" if then.date() == now.astimezone().date() else "%d %b, %H:%M")
