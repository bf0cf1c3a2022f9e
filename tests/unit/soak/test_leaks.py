"""Whether memory and file descriptors of a process stay flat."""

from tests.soak.leaks import leaks
from tests.soak.sight import Life


def life(memory_a_minute: int, files_a_minute: int, minutes: int = 30, name: str = "m1") -> Life:
    samples = [
        (second, 70_000 + memory_a_minute * second // 60, 20 + files_a_minute * second // 60)
        for second in range(0, minutes * 60, 5)
    ]
    return Life(name, 1, [(float(at), memory, files) for at, memory, files in samples])


def test_what_stays_flat_is_no_leak() -> None:
    assert list(leaks([life(0, 0)])) == []


def test_memory_that_grows_is_one_and_so_are_file_descriptors() -> None:
    assert [sentence.split()[0] for _, sentence in leaks([life(1000, 0), life(0, 1)])] == ["grew", "holds"]


def test_a_short_life_says_nothing() -> None:
    assert list(leaks([life(5000, 9, minutes=3)])) == []


def test_what_is_kept_on_purpose_for_a_time_counts_only_after_it() -> None:
    server = life(0, 3, minutes=11, name="server")
    full = server.samples[-1][2]
    server.samples += [(at, memory, full) for at, memory, _ in life(0, 0).samples if at > server.samples[-1][0]]
    assert list(leaks([server])) == []
    assert list(leaks([life(0, 3, name="server")])) != []
