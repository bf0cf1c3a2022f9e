import sys

import pytest

if sys.platform != "linux":
    pytest.skip("Linux only", allow_module_level=True)

from helper.relay.linux import LARGEST_BURST, runs


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], []),
        ([5], [(0, 1)]),
        ([5, 5, 3, 5], [(0, 3), (3, 4)]),
        ([3, 5, 5], [(0, 1), (1, 3)]),
        ([0, 0, 5], [(0, 1), (1, 2), (2, 3)]),
        ([9] * 130, [(0, 64), (64, 128), (128, 130)]),
        ([1400] * 50, [(0, 46), (46, 50)]),
    ],
)
def test_bursts_are_cut_where_one_send_ends(sizes: list[int], expected: list[tuple[int, int]]) -> None:
    assert list(runs(sizes)) == expected
    assert all(sum(sizes[first:last]) <= LARGEST_BURST for first, last in expected)
