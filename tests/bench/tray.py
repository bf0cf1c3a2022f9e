"""What the tray costs a person: how long until it can be used, and its memory and processor time when nothing happens."""

import time

from tests.bench.figure import Figure
from tests.bench.idle import cpu_seconds, memory_of
from tests.bench.logs import logs_of
from tests.lab.desktop import Desktop
from tests.lab.meeting import Meeting
from tests.lab.network import Lab
from tests.lab.node import end, wait_for
from tests.lab.programs import BIN
from tests.lab.scenarios import DIRECT, SCENARIOS

STARTS, MEASURED, SETTLED = 5, 30.0, 10.0  # seconds
START_GOAL, MEMORY_GOAL, CPU_GOAL = 1.5, 150.0, 0.5  # seconds, MB, percent of one core


def run() -> list[Figure]:
    with Lab(logs_of("tray")) as lab:
        meeting = Meeting(lab, SCENARIOS["two-nats"].build(lab))
        meeting.check_pings()
        meeting.settle(DIRECT)
        desktop = Desktop(meeting.alice.node, lab.logs / "pictures")
        words = (str(BIN / "covey-tray"), "--socket", str(meeting.alice.socket))
        times = []
        for _ in range(STARTS):
            began = time.monotonic()
            tray = desktop.spawn("covey-tray", *words, "--show-window")
            wait_for("the window", lambda: desktop.windows("^Covey: "))
            times.append(time.monotonic() - began)
            end(tray)
            wait_for("the window is gone", lambda: not desktop.windows("^Covey: "))
        tray = desktop.spawn("covey-tray", *words)
        wait_for("the icon", desktop.is_icon_drawn)
        time.sleep(SETTLED)
        used, began = cpu_seconds(tray.pid), time.monotonic()
        time.sleep(MEASURED)
        load = (cpu_seconds(tray.pid) - used) / (time.monotonic() - began) * 100
        desktop.click_icon()
        desktop.wait_window("^Covey: ")
        memory = memory_of(tray.pid)
    start = sorted(times)[len(times) // 2]
    return [
        Figure("tray.start", start, "s", f"<= {START_GOAL:g}", start <= START_GOAL, f"median of {STARTS}, window usable", None),
        Figure("tray.memory", memory, "MB", f"< {MEMORY_GOAL:g}", memory < MEMORY_GOAL, "with the window open", None),
        Figure("tray.cpu", load, "% of a core", f"< {CPU_GOAL:g}", load < CPU_GOAL, "idle in the tray", None),
    ]
