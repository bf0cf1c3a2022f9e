"""How soon to check which candidate pair again: often what carries data, seldom what waits, never what could not help. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from helper.ice.pair import FIRST_TRIES, Pair

SELECTED = 1.0  # seconds between checks of the selected pair while data flows or the selection is young
STANDBY = 5.0  # and of those that would replace it
IDLE_SELECTED = 15.0  # when no data flows: the first packet that does brings the next check within a second
IDLE_STANDBY = 25.0  # what a port search found: a NAT that forgets it has it searched for again
IDLE_RARELY = 60.0  # what the other side checks for us, and other standbys
BUSY_FOR, YOUNG_FOR = 5.0, 15.0  # seconds after data, and after a selection
SETTLED_AFTER = 10.0  # seconds after a selection, pairs that could not replace it are left alone
RIVALS = 1.0  # seconds between checks of standbys while the selected pair is lossy: they are compared
LOSSY = 5.0  # percent
STANDBYS = 2
NEVER = float("inf")


@dataclass(slots=True)
class Pacing:
    """Attributes:
    busy_at: when the selected pair last carried data.
    selected_at: when it was selected. All on the event loop's clock.
    """

    controlling: bool
    busy_at: float = -NEVER
    selected_at: float = -NEVER

    def interval(
        self, pair: Pair, now: float, *, selected: Pair | None, nominee: Pair | None, standbys: Callable[[], list[Pair]]
    ) -> float:
        """Seconds until the next check of this pair, of which one just leaves or was just answered."""
        if pair is nominee and pair is not selected:
            return FIRST_TRIES[min(max(pair.tries, 1), len(FIRST_TRIES)) - 1]
        is_busy = now - self.busy_at < BUSY_FOR or now - self.selected_at < YOUNG_FOR
        if pair is selected:
            return self._of_selected(pair, now, is_busy=is_busy)
        is_settled = selected is not None and now - self.selected_at > SETTLED_AFTER
        if not pair.is_valid:
            could_not_help = is_settled and selected is not None and pair.relays >= selected.relays
            return NEVER if could_not_help else pair.retry_delay(now)
        if is_settled and not pair.on_probation and pair not in standbys():
            return NEVER
        if selected is not None and (selected.loss_percent >= LOSSY or pair.on_probation):
            return RIVALS if is_busy else STANDBY
        if is_busy or selected is None:
            return STANDBY
        return IDLE_STANDBY if pair.base.port else IDLE_RARELY  # other ways open again as they did at first

    def _of_selected(self, pair: Pair, now: float, *, is_busy: bool) -> float:
        if is_busy or pair.missed:
            return SELECTED
        return IDLE_SELECTED if self.controlling or now - pair.asked_at > 2 * IDLE_SELECTED else IDLE_RARELY
