"""Reading how much an interface has carried."""

from pathlib import Path

from helper.interface.traffic import traffic_of

TABLE = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0
covey0:    7168      64    0    0    0     0          0         0     9216      96    0    0    0     0       0          0
eth0:1: 5 1 0 0 0 0 0 0 6 1 0 0 0 0 0 0
"""


def test_the_bytes_of_one_interface_are_found_among_all(tmp_path: Path) -> None:
    table = tmp_path / "dev"
    table.write_text(TABLE)
    assert traffic_of("covey0", table) == (7168, 9216)
    assert traffic_of("eth0:1", table) == (5, 6)
    assert traffic_of("covey", table) is None


def test_where_the_system_does_not_tell_nothing_is_known(tmp_path: Path) -> None:
    assert traffic_of("covey0", tmp_path / "none") is None
