from helper.clients.dial import CHANNEL_OPTIONS
from server.grpc_server import OPTIONS

PROXIES_CUT = 60.0  # seconds without a byte after which nginx and others end a stream; some do after 30


def test_streams_that_are_silent_for_hours_are_pinged_often_enough_for_proxies_and_not_too_often_for_the_server() -> None:
    helper, server = dict(CHANNEL_OPTIONS), dict(OPTIONS)
    for side in (helper, server):
        assert side["grpc.keepalive_time_ms"] <= 25_000 < PROXIES_CUT * 1000 / 2
        assert side["grpc.http2.max_pings_without_data"] == 0  # no limit
    assert helper["grpc.keepalive_time_ms"] > server["grpc.http2.min_ping_interval_without_data_ms"]
    assert server["grpc.http2.max_ping_strikes"] == 0
