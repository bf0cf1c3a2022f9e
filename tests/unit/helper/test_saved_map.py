"""How old a network map is, over restarts, and what its file looks like."""

from helper.saved_map import MapAge, pack, unpack
from protocol.generated.management_pb2 import NetworkMap, SyncResponse

DAY = 86400.0
RESPONSE = SyncResponse(NetworkMap=NetworkMap(Serial=7)).SerializeToString()


def test_a_map_is_saved_with_when_the_server_stood_by_it() -> None:
    assert unpack(pack(RESPONSE, 1_800_000_000.9)) == (RESPONSE, 1_800_000_000.0)
    assert unpack(RESPONSE) == (RESPONSE, None)  # a file from before times were kept
    assert unpack(b"") == (b"", None)


def test_the_age_goes_on_over_a_restart() -> None:
    before, after = MapAge(), MapAge()
    assert before.age(5.0, 1000.0) is None
    before.vouch(now=5.0, wall=1000.0)
    assert before.vouched is not None
    after.restore(before.vouched, now=2.0, wall=1000.0 + 3 * DAY)
    assert after.age(now=62.0, wall=1060.0 + 3 * DAY) == 3 * DAY + 60


def test_no_clock_makes_a_map_younger_than_it_is_known_to_be() -> None:
    age = MapAge()
    age.restore(1000.0, now=0.0, wall=400.0)  # set back before the start
    assert age.age(now=10.0, wall=410.0) == 10.0
    age.vouch(now=20.0, wall=1000.0)
    assert age.age(now=50.0, wall=1.0) == 30.0  # set back since
    assert age.age(now=50.0, wall=1000.0 + DAY) == DAY  # asleep for a day, while the loop's clock stood still


def test_the_server_lifts_a_refusal() -> None:
    age = MapAge()
    age.is_refused = True
    age.vouch(now=0.0, wall=0.0)
    assert not age.is_refused
