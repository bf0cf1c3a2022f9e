"""What the flight recorder hears of one peer: that it came and went, and each change of its path with what was known of both."""

from collections.abc import Callable

from helper.ice.pair import Pair
from helper.ice.port_search import Role, SearchBegan, SearchEnded
from helper.peer.events import State
from helper.recorder import Recorder


class PeerNotes:
    """`name` is asked at each note: a peer may be renamed."""

    def __init__(self, recorder: Recorder, name: Callable[[], str]) -> None:
        self._recorder, self._name = recorder, name
        self._path: Pair | None = None
        self._was_connected = False

    def state(self, now: State) -> None:
        """The state changed."""
        if now is State.CONNECTED:
            if not self._was_connected:
                self._note("peer", f"{self._name()} is connected.", state=now.value)
            self._was_connected = True
        elif self._was_connected and now in (State.CALLING, State.CHECKING):
            self._was_connected = False
            self._note("peer", f"{self._name()} is not connected any more; a path to it is looked for.", state=now.value)

    def path(self, pair: Pair) -> None:
        """Packets take this pair from now on."""
        former, self._path = self._path, pair
        if former is pair:
            return
        kind = "by the relay" if pair.relays else "directly"
        if former is None:
            sentence = f"{self._name()} is reached {kind}, {_figures(pair)}."
        else:
            was = "the relay" if former.relays else "the direct path"
            why = _why(former, pair)
            sentence = (
                f"{self._name()} is reached {kind} instead of by {was}: {why}."
                if pair.relays != former.relays
                else (f"{self._name()} is reached {kind} on another path: {why}.")
            )
        self._note(
            "path",
            sentence,
            **{"to": str(pair), "from": str(former) if former else None, "why": _why(former, pair) if former else "first path"},
            relayed=bool(pair.relays),
            roundTrip=_milliseconds(pair),
            lossPercent=round(pair.loss_percent, 1),
            formerRoundTrip=_milliseconds(former) if former else None,
            formerLossPercent=round(former.loss_percent, 1) if former else None,
        )

    def search(self, event: SearchBegan | SearchEnded) -> str:
        """A port search began or ended; returns the sentence about it."""
        if isinstance(event, SearchBegan):
            side = "many ports here for one there" if event.role is Role.MANY_SOCKETS else "one port here for many there"
            why = "as the port that one of the NATs gives us can't be known"
            sentence = f"A port search for a direct path to {self._name()} began: {side}, {why}."
            self._note("path", sentence, role=event.role.name.lower())
            return sentence
        found = "found a" if event.is_found else "found no"
        sentence = f"The port search {found} direct path to {self._name()}: {event.sent} datagrams in {event.seconds:.2f} s."
        self._note("path", sentence, found=event.is_found, sent=event.sent, seconds=round(event.seconds, 3))
        return sentence

    def left(self) -> None:
        """The other side has closed the connection."""
        former, self._path = self._path, None
        if former is not None:
            self._was_connected = False
            self._note("peer", f"{self._name()} closed the connection.", **{"from": str(former)}, relayed=bool(former.relays))

    def _note(self, kind: str, sentence: str, **details: str | int | float | bool | None) -> None:
        self._recorder.note(kind, sentence, peer=self._name(), **details)


def _why(former: Pair, pair: Pair) -> str:
    if not former.is_valid:
        return f"the former path does not answer any more ({former.missed} checks were missed)"
    if former.base.ip != pair.base.ip and not former.relays and not pair.relays:
        return f"packets leave this machine from {pair.base.ip} and no longer from {former.base.ip}"
    if former.relays > pair.relays:
        return f"a direct path works, {_figures(pair)}"
    return f"the new one has {_figures(pair)}, the former {_figures(former)}"


def _figures(pair: Pair) -> str:
    trip = _milliseconds(pair)
    return f"{f'{trip:g} ms' if trip is not None else 'round trip not measured yet'}, {pair.loss_percent:.0f} % loss"


def _milliseconds(pair: Pair) -> float | None:
    return round(pair.round_trip * 1000, 1) if pair.round_trip is not None else None
