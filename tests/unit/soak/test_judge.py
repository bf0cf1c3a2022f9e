"""What an endurance run calls wrong, and what it does not."""

from tests.soak.judge import (
    DOWN,
    LIE,
    SLOW_AGAIN,
    Answered,
    Began,
    Carried,
    Ended,
    Event,
    Judge,
    Tick,
    Told,
)
from tests.soak.plan import SERVER, Fault, Kind

TUNNEL = frozenset(("m1", "m2"))
RENUMBER = Fault(1, 0.0, Kind.RENUMBER, "home")


class Story:
    """Tells a judge what happens, second by second, and keeps what it finds."""

    def __init__(self) -> None:
        self.judge, self.now, self.found = Judge(("m1", "m2"), 0.0), 0.0, list[str]()

    def tell(self, *events: Event) -> None:
        for event in events:
            self.found += [violation.kind for violation in self.judge.handle(event, self.now)]

    def go_on(
        self,
        seconds: float,
        *,
        answers: bool = True,
        state: str = "Connected",
        paths: tuple[str, str] = ("P2P", "P2P"),
        chosen: str = "",
    ) -> None:
        for _ in range(int(seconds)):
            self.now += 1
            if answers:
                self.tell(Answered("m1", "m2"), Answered("m2", "m1"))
            one, other = (state, paths[0], chosen), (state, paths[1], chosen)
            self.tell(Told("m1", {"m2": one}), Told("m2", {"m1": other}), Tick())


def test_a_tunnel_that_works_is_fine() -> None:
    story = Story()
    story.go_on(100)
    assert story.found == []


def test_silence_without_a_fault_is_a_lie_first_and_down_later_and_each_is_said_once() -> None:
    story = Story()
    story.go_on(20)
    story.go_on(LIE + 2, answers=False)
    assert story.found == ["connected-but-silent"] * 2
    story.go_on(DOWN, answers=False)
    assert sorted(story.found) == ["connected-but-silent"] * 2 + ["down"] * 2


def test_a_fault_explains_silence_for_twice_its_recovery_and_no_longer() -> None:
    story = Story()
    story.go_on(20)
    story.tell(Began(RENUMBER, frozenset({TUNNEL})), Ended(RENUMBER))
    allowed = 2 * RENUMBER.nature.recovery + DOWN
    story.go_on(allowed, answers=False, state="Connecting", paths=("-", "-"))
    assert story.found == []
    story.go_on(1, answers=False, state="Connecting", paths=("-", "-"))
    assert story.found == ["down", "down"]


def test_a_fault_elsewhere_explains_nothing() -> None:
    story = Story()
    story.go_on(20)
    story.tell(Began(RENUMBER, frozenset()), Ended(RENUMBER))
    story.go_on(DOWN + 1, answers=False, state="Connecting", paths=("-", "-"))
    assert "down" in story.found


def test_a_line_that_loses_makes_recovery_slower() -> None:
    story = Story()
    story.tell(Began(Fault(2, 0.0, Kind.LOSS, "home", 99), frozenset({TUNNEL})))
    story.tell(Began(RENUMBER, frozenset({TUNNEL})), Ended(RENUMBER))
    story.go_on(2 * RENUMBER.nature.recovery + SLOW_AGAIN + DOWN, answers=False, state="Connecting", paths=("-", "-"))
    assert story.found == []


def test_whoever_answers_is_not_shown_as_disconnected_for_long() -> None:
    story = Story()
    story.go_on(20, state="Connecting", paths=("-", "-"))
    assert story.found == ["answers-but-not-connected"] * 2


def test_what_is_called_direct_is_not_carried_by_the_server() -> None:
    story = Story()
    story.go_on(20)
    story.tell(Carried(TUNNEL, 1))
    story.go_on(10)
    assert story.found == []
    story.tell(Carried(TUNNEL, 4))
    story.go_on(5)
    assert story.found == ["direct-by-server"]


def test_what_went_by_the_server_for_less_than_a_second_need_not_have_been_told() -> None:
    story = Story()
    story.go_on(20, chosen="10:00")
    story.tell(Carried(TUNNEL, 8))
    story.go_on(5, chosen="10:20")
    assert story.found == []


def test_a_path_that_changes_is_told_a_moment_later() -> None:
    story = Story()
    story.go_on(20)
    story.tell(Carried(TUNNEL, 4))
    story.go_on(2)
    story.go_on(20, paths=("Relayed", "Relayed"))
    assert story.found == []


def test_both_ends_agree_on_their_path_sooner_or_later() -> None:
    story = Story()
    story.go_on(20, paths=("P2P", "Relayed"))
    assert story.found == []
    story.go_on(10, paths=("P2P", "Relayed"))
    assert story.found == ["ends-disagree"]


def test_an_outage_of_the_server_excuses_whoever_lost_its_path_and_nobody_else() -> None:
    outage = Fault(3, 0.0, Kind.SERVER_STOP, SERVER, 20)
    for is_touched in (True, False):
        story = Story()
        story.go_on(20)
        story.tell(Began(outage, frozenset()))
        if is_touched:
            story.tell(Began(RENUMBER, frozenset({TUNNEL})), Ended(RENUMBER))
        story.go_on(20, answers=False, state="Connecting", paths=("-", "-"))
        assert bool(story.found) is not is_touched


def test_a_frozen_helper_may_let_its_callers_wait() -> None:
    story = Story()
    story.now = 5.0
    story.tell(Told("m1", {}, seconds=3.0))
    assert story.found == ["slow-api"]
    freeze = Fault(4, 0.0, Kind.FREEZE, "m2", 10)
    story.tell(Began(freeze, frozenset({TUNNEL})), Told("m2", {}, seconds=9.0))
    story.now = 20.0
    story.tell(Ended(freeze))
    story.now = 20.5
    story.tell(Told("m2", {}, seconds=10.0))  # it was asked while it was frozen
    assert story.found == ["slow-api"]
    story.now = 22.0
    story.tell(Told("m2", {}, seconds=10.0))
    assert story.found == ["slow-api"] * 2
