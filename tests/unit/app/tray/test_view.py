import unicodedata
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.state import AppState, Doing, Failure, Helper
from app.tray.view import MAX_LINE, MAX_PEERS, MAX_TOOLTIP, Action, Do, Entry, Icon, Item, detail_lines, icon_of, tray_view
from protocol.errors import HelperNotRunning
from protocol.local_api import ErrorBody, PeerStatus
from tests.unit.app.tray.values import NOW, answering, silent, status
from tests.unit.helper.local_api.scripted import link, peer, relayed

ERROR: ErrorBody = {"code": "no-tun-device", "sentence": "There is no TUN device.", "hint": "Load the driver."}
NOWHERE = link("", "no answer")
DOWN = {"management": link(error="no answer"), "error": ERROR}


def texts(entries: tuple[Entry, ...]) -> list[str]:
    """Every text of a menu, its submenus included."""
    found = []
    for entry in entries:
        if isinstance(entry, Item):
            found += [entry.text, *texts(entry.items)]
    return found


def line(state: AppState, start: str) -> Item:
    """The line of the menu that begins so."""
    found = [item for item in tray_view(state, NOW).menu if isinstance(item, Item) and item.text.startswith(start)]
    assert len(found) == 1, start
    return found[0]


@pytest.mark.parametrize(
    ("state", "icon", "words"),
    [
        (AppState(), Icon.DISCONNECTED, "Looking for Covey's helper"),
        (AppState().missed(HelperNotRunning("No helper listens.")), Icon.HELPER_MISSING, "Covey's helper is not running"),
        (answering(daemon="Idle"), Icon.DISCONNECTED, "Disconnected"),
        (answering(daemon="Idle", management=NOWHERE), Icon.DISCONNECTED, "Not set up yet"),
        (answering(daemon="Idle", error=ERROR), Icon.TROUBLE, "Disconnected"),
        (answering(daemon="Connecting"), Icon.CONNECTING, "Connecting…"),
        (answering(daemon="Connecting", **DOWN), Icon.TROUBLE, "Connecting…"),
        (answering(peer(), daemon="Connecting", **DOWN), Icon.CONNECTED, "Connected to 1 of 1 peers; the server is not reached"),
        (answering(), Icon.CONNECTED, "Connected, no other device yet"),
        (answering(peer("bob"), relayed("carol", 3)), Icon.CONNECTED, "Connected, 2 of 2 peers"),
        (answering(relayed("carol", 3)), Icon.RELAYED, "Connected by relay, 1 of 1 peers"),
        (answering(peer("bob", status="Idle", connectionType="-")), Icon.CONNECTED, "Connected, 0 of 1 peers"),
        (answering(daemon="NeedsLogin"), Icon.NEEDS_SIGN_IN, "You need to sign in"),
        (answering(daemon="NeedsLogin", management=NOWHERE), Icon.DISCONNECTED, "Not set up yet"),
        (answering(daemon="LoginFailed", error=ERROR), Icon.TROUBLE, "The server refused this device"),
        (answering(daemon="Idle").begun(Doing.CONNECTING), Icon.CONNECTING, "Connecting…"),
        (answering(daemon="Idle").begun(Doing.SIGNING_IN), Icon.CONNECTING, "Waiting for you to sign in…"),
        (answering().begun(Doing.DISCONNECTING), Icon.CONNECTED, "Disconnecting…"),
        (answering(daemonVersion="0.0.1"), Icon.TROUBLE, "Connected, no other device yet"),
    ],
)
def test_icon_and_state_line_tell_the_truth(state: AppState, icon: Icon, words: str) -> None:
    view = tray_view(state, NOW)
    assert (view.icon, view.state) == (icon, words)
    assert words in view.tooltip
    assert view.menu[0] == Item(words, Action(Do.OPEN))


def test_a_warning_is_said_while_connected_and_only_then() -> None:
    warning = {"code": "udp-blocked", "sentence": "This network lets no UDP out.", "next": "Let it out.", "since": ""}
    state = answering(peer(), warnings=[warning])
    assert tray_view(state, NOW).state == "Connected with a warning, 1 of 1 peers"
    assert "This network lets no UDP out." in detail_lines(state, NOW)
    assert "warning" not in tray_view(answering(daemon="Idle", warnings=[warning]), NOW).state
    assert detail_lines(silent(state), NOW) == ("It said then: Connected, 1 of 1 peers.",)


def test_a_silent_helper_is_trouble_with_the_time_of_its_last_answer_and_what_it_said() -> None:
    view = tray_view(silent(answering(peer())), NOW)
    assert view.icon is Icon.TROUBLE
    assert view.state == f"Covey's helper has not answered since {NOW.astimezone():%H:%M:%S}"
    assert "It said then: Connected, 1 of 1 peers." in texts(view.menu)


def test_since_yesterday_is_said_with_its_date() -> None:
    state = replace(silent(answering()), heard=NOW.timestamp() - 86400)
    assert "03 May" in tray_view(state, NOW).state


def test_nothing_can_be_asked_of_a_helper_that_does_not_answer() -> None:
    for state in (AppState(), AppState().missed(HelperNotRunning("No.")), silent(answering())):
        menu = tray_view(state, NOW).menu
        changing = [item for item in menu if isinstance(item, Item) and item.action is not None]
        asked = {item.action.do for item in changing if item.action is not None and item.is_enabled}
        assert not asked & {Do.CONNECT, Do.DISCONNECT, Do.SIGN_IN, Do.USE_PROFILE}
        assert {Do.OPEN, Do.QUIT, Do.SETTINGS, Do.TROUBLESHOOT} <= asked


@pytest.mark.parametrize(
    ("state", "text", "do"),
    [
        (answering(daemon="Idle"), "Connect", Do.CONNECT),
        (answering(), "Disconnect", Do.DISCONNECT),
        (answering(daemon="Connecting"), "Disconnect", Do.DISCONNECT),
        (answering(daemon="NeedsLogin"), "Connect", Do.CONNECT),
        (answering(daemon="Idle").begun(Doing.CONNECTING), "Cancel", Do.CANCEL),
        (answering(daemon="NeedsLogin").begun(Doing.SIGNING_IN), "Cancel", Do.CANCEL),
    ],
)
def test_the_main_line_offers_what_makes_sense_next(state: AppState, text: str, do: Do) -> None:
    assert line(state, text) == Item(text, Action(do), key=text[0])


def test_signing_in_is_offered_where_a_server_is_known() -> None:
    assert line(answering(daemon="NeedsLogin"), "Sign in").text == "Sign in…"
    assert line(answering(), "Sign in").is_enabled
    assert not line(answering(daemon="Idle", management=NOWHERE), "Sign in").is_enabled


def test_failures_and_errors_are_said_with_the_next_step() -> None:
    failed = (
        answering(daemon="Idle").begun(Doing.CONNECTING).ended(Failure("server-unreachable", "No answer from it", "Check it"))
    )
    assert texts(tray_view(failed, NOW).menu)[1:3] == ["No answer from it.", "Check it."]
    assert icon_of(failed) is Icon.TROUBLE
    told = answering(daemon="Idle", error=ERROR)
    assert texts(tray_view(told, NOW).menu)[1:3] == ["There is no TUN device.", "Load the driver."]


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ("2026-05-04T15:20:30Z", "Sign in again in 3 h 20 min."),
        ("2026-05-04T15:00:00Z", "Sign in again in 3 h."),
        ("2026-05-06T13:00:00Z", "Sign in again in 2 d 1 h."),
        ("2026-05-11T12:00:00Z", "Sign in again in 7 d."),
        ("2026-05-04T12:00:20Z", "Sign in again in 1 min."),
        ("2026-05-04T11:59:59Z", "The session has ended: sign in again."),
    ],
)
def test_the_session_has_a_countdown(ends: str, words: str) -> None:
    assert words in texts(tray_view(answering(sessionExpiresAt=ends), NOW).menu)


def test_whoever_is_out_is_told_why_and_nothing_that_is_over() -> None:
    ends = "2026-05-05T11:00:00Z"
    error: ErrorBody = {"code": "x", "sentence": "the session is over", "hint": "run `covey login`"}
    assert detail_lines(answering(daemon="NeedsLogin", error=error, sessionExpiresAt=ends), NOW) == ("The session is over.",)
    blocked = answering(daemon="LoginFailed", error=error, sessionExpiresAt=ends)
    assert detail_lines(blocked, NOW) == ("The session is over.", "Run `covey login`.")
    assert detail_lines(answering(daemon="NeedsLogin", error=error, management=NOWHERE), NOW) == ()


def test_a_session_without_end_has_none() -> None:
    assert not [text for text in texts(tray_view(answering(), NOW).menu) if text.startswith("Sign in again in")]


def test_this_device_can_be_copied() -> None:
    device = line(answering(), "This device: alice")
    assert [item.action for item in device.items if isinstance(item, Item)] == [
        None,
        None,
        Action(Do.COPY, "alice.covey.internal"),
        Action(Do.COPY, "100.92.0.1"),
    ]
    assert not line(answering(daemon="Idle"), "This device").is_enabled


def test_peers_show_path_and_latency_connected_ones_first() -> None:
    away = peer("anna", 4, status="Idle", connectionType="-", latency=0)
    calling = peer("zoe", 5, status="Connecting", connectionType="-", latency=0)
    peers = line(answering(away, peer("bob"), relayed("carol", 3), calling), "Peers (2 of 4 connected)")
    assert texts(peers.items) == [
        "bob: direct, 12 ms",
        "carol: by relay, 12 ms",
        "anna: not connected",
        "zoe: connecting…",
    ]
    assert isinstance(peers.items[0], Item)
    assert peers.items[0].action == Action(Do.COPY, "100.92.0.2")


def test_many_peers_are_in_the_window() -> None:
    many = [peer(f"p{number:04}", number) for number in range(2000)]
    peers = line(answering(*many), "Peers")
    assert len(peers.items) == MAX_PEERS + 2
    assert peers.items[-1] == Item("1970 more in the window…", Action(Do.OPEN))


def test_networks_and_exit_nodes_are_not_invented() -> None:
    for name in ("Networks", "Exit node"):
        assert texts(line(answering(), name).items) == ["None offered"]


def test_accounts_show_the_active_one() -> None:
    profiles: Any = {
        "active": "work",
        "profiles": [
            {"name": "home", "server": "", "email": ""},
            {"name": "work", "server": "https://vpn.example.org:443", "email": "ann@example.org"},
        ],
    }
    accounts = line(replace(answering(profile="work"), profiles=profiles), "Account: work")
    assert accounts.items[:2] == (
        Item("home", Action(Do.USE_PROFILE, "home"), is_checked=False),
        Item("work (ann@example.org)", Action(Do.USE_PROFILE, "work"), is_checked=True),
    )


def test_time_alone_changes_nothing_within_a_minute() -> None:
    state = answering(peer(), sessionExpiresAt="2026-05-05T12:00:30Z")
    assert tray_view(state, NOW) == tray_view(state, NOW.replace(second=29))


HOSTILE = st.text(max_size=300) | st.sampled_from(
    [
        "<b>bob</b>",
        "<img src=x onerror=alert(1)>",
        "\u202egnp.exe",
        "a&b\tCtrl+Q",
        "x\r\ny\x00\x1b[2J",
        "ن" * 200,
        "Z" + "\u0335" * 400,
    ]
)


@given(name=HOSTILE, reason=HOSTILE, own=HOSTILE, sentence=HOSTILE, profile=HOSTILE)
def test_hostile_text_stays_within_its_line(name: str, reason: str, own: str, sentence: str, profile: str) -> None:
    stranger: PeerStatus = peer("x", fqdn=name, ip=name, publicKey=name, reason=reason)
    error: ErrorBody = {"code": "x", "sentence": sentence, "hint": reason}
    state = answering(stranger, fqdn=own, error=error, notes=[reason], profile=profile)
    view = tray_view(state, NOW)
    assert len(view.tooltip) <= MAX_TOOLTIP
    for text in texts(view.menu):
        assert len(text) <= MAX_LINE + len("This device: ") + 2
        kinds = {unicodedata.category(character) for character in text if character not in "\u2068\u2069"}
        assert not kinds & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
        assert text.count("\u2068") == text.count("\u2069")


STATES = st.builds(
    lambda daemon, helper, doing, has_error, set_up, peers: replace(
        answering(
            *peers,
            daemon=daemon,
            error=ERROR if has_error else None,
            management=link(error="" if daemon == "Connected" else "no answer") if set_up else NOWHERE,
        ),
        helper=helper,
        doing=doing,
    ),
    st.sampled_from(["Connected", "Connecting", "Idle", "NeedsLogin", "LoginFailed", "Something new"]),
    st.sampled_from(Helper),
    st.none() | st.sampled_from(Doing),
    st.booleans(),
    st.booleans(),
    st.lists(st.sampled_from([peer(), relayed("carol", 3), peer("dan", status="Idle", connectionType="-")]), max_size=3),
)


@given(STATES)
def test_connected_is_never_said_without_a_tunnel(state: AppState) -> None:
    view = tray_view(state, NOW)
    assert state.status is not None
    if view.icon in (Icon.CONNECTED, Icon.RELAYED):
        assert state.helper in (Helper.ANSWERING, Helper.STARTING)
        assert state.status["daemonStatus"] == "Connected" or state.status["peers"]["connected"]
    if view.icon is Icon.RELAYED:
        assert all(one["connectionType"] != "P2P" for one in state.status["peers"]["details"])


@given(STATES)
def test_every_menu_can_be_quit_and_offers_at_most_one_main_action(state: AppState) -> None:
    actions = [item.action.do for item in tray_view(state, NOW).menu if isinstance(item, Item) and item.action]
    assert actions.count(Do.QUIT) == 1
    assert len([do for do in actions if do in (Do.CONNECT, Do.DISCONNECT, Do.CANCEL)]) == 1


def test_a_status_of_another_shape_is_not_read() -> None:
    from app.state import readable

    document = status(peer())
    assert readable(document) is document
    assert readable({**document, "peers": {"total": 1, "connected": 1, "details": ["bob"]}}) is None
    assert readable({name: value for name, value in document.items() if name != "signal"}) is None
    assert readable({**document, "error": {"code": 1}}) is None
    assert readable("Connected") is None
