"""What the flight recorder hears of a peer."""

from ipaddress import ip_address

from helper.ice.candidates import Base, make_candidate
from helper.ice.pair import Pair
from helper.peer.events import State
from helper.peer.notes import PeerNotes
from helper.recorder import Recorder
from protocol.addresses import Address


def pair(kind: str, remote: str, trip: float) -> Pair:
    found = Pair(Base(ip_address("10.0.0.2"), None), make_candidate(kind, Address.of(remote, 51820)), 0.0, 0.0)
    found.answered(0.0, trip)
    return found


def test_a_switch_of_path_says_from_where_to_where_and_why() -> None:
    recorder = Recorder()
    notes = PeerNotes(recorder, lambda: "bob")
    relayed, direct, other = (
        pair("relay", "203.0.113.9", 0.08),
        pair("srflx", "198.51.100.7", 0.02),
        pair("host", "10.0.0.3", 0.01),
    )

    notes.path(relayed)
    notes.path(direct)
    notes.path(direct)
    direct.died(1.0)
    direct.missed = 4
    notes.path(other)

    assert [event.sentence for event in recorder.events()] == [
        "bob is reached by the relay, 80 ms, 0 % loss.",
        "bob is reached directly instead of by the relay: a direct path works, 20 ms, 0 % loss.",
        "bob is reached directly on another path: the former path does not answer any more (4 checks were missed).",
    ]
    switch = recorder.events()[1].details
    assert (switch["from"], switch["to"]) == (str(relayed), str(direct))
    assert (switch["roundTrip"], switch["formerRoundTrip"]) == (20.0, 80.0)


def test_states_that_pass_are_not_told_twice() -> None:
    recorder = Recorder()
    notes = PeerNotes(recorder, lambda: "bob")
    for state in (State.CHECKING, State.SHAKING_HANDS, State.CONNECTED, State.SHAKING_HANDS, State.CONNECTED, State.CALLING):
        notes.state(state)
    assert [event.sentence for event in recorder.events()] == [
        "bob is connected.",
        "bob is not connected any more; a path to it is looked for.",
    ]
