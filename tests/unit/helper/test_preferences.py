import json
import pathlib
import stat
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helper.preferences import DEFAULTS, PreferencesFile, changed
from helper.settings import StateFolder
from protocol.errors import NotSaved, UsageError
from protocol.http_proxy import HttpProxy

JSON = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.lists(st.integers(), max_size=2)

PROXYLESS = b'{"version": 1, "proxy_password": 1}'


@pytest.fixture
def root(tmp_path: pathlib.Path) -> Iterator[StateFolder]:
    opened = StateFolder(tmp_path / "state")
    yield opened
    opened.close()


def test_any_part_can_be_changed(root: StateFolder) -> None:
    file = PreferencesFile(root)
    assert file.kept == DEFAULTS
    file.change({"mtu": 1420})
    file.change({"disable_dns": True, "wireguard_port": 51820})
    file.change({})
    assert file.kept == {**DEFAULTS, "wireguard_port": 51820, "mtu": 1420, "disable_dns": True}
    assert PreferencesFile(root).kept == file.kept
    assert stat.S_IMODE((root.path / "preferences.json").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "good", [{"wireguard_port": 0}, {"wireguard_port": 1024}, {"wireguard_port": 65535}, {"mtu": 0}, {"mtu": 1280}, {"mtu": 9000}]
)
def test_the_limits_are_within(good: dict[str, Any]) -> None:
    assert changed(DEFAULTS, good) == {**DEFAULTS, **good}


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        ({"wireguard_port": 1023}, "wireguard_port"),
        ({"wireguard_port": 65536}, "wireguard_port"),
        ({"wireguard_port": -1}, "wireguard_port"),
        ({"wireguard_port": True}, "whole number"),
        ({"wireguard_port": "51820"}, "whole number"),
        ({"mtu": 1279}, "mtu"),
        ({"mtu": 9001}, "mtu"),
        ({"mtu": 1420.0}, "whole number"),
        ({"disable_dns": 1}, "true or false"),
        ({"disable_routes": None}, "true or false"),
        ({"keepalive": 4}, "keepalive"),
        ({"keepalive": 111}, "keepalive"),
        ({"interface_blacklist": "eth0"}, "list of names"),
        ({"interface_blacklist": ["a name with spaces"]}, "interface_blacklist"),
        ({"interface_blacklist": ["sixteen-letters-"]}, "interface_blacklist"),
        ({"interface_blacklist": [1]}, "interface_blacklist"),
        ({"saved_map_days": -1}, "saved_map_days"),
        ({"proxy": "socks5://proxy:1"}, "proxy"),
        ({"proxy": 1}, "a text"),
        ({"proxy": "http://alice:hush@proxy:1"}, "proxy_password"),
        ({"proxy": "http://alice@proxy:1", "proxy_password": 7}, "proxy_password"),
        ({"proxy": "http://alice@proxy:1", "proxy_password": "a\r\nb"}, "proxy_password"),
        ({"proxy": "http://alice@proxy:1", "proxy_password": "x" * 513}, "proxy_password"),
        ({"proxy_password": "hush", "mtu": 7}, "mtu"),
        ({"exit_node": True}, "unknown field"),
        ([], "JSON object"),
        (None, "JSON object"),
    ],
)
def test_what_is_wrong_is_named_and_changes_nothing(root: StateFolder, bad: Any, word: str) -> None:
    file = PreferencesFile(root)
    with pytest.raises(UsageError, match=word) as caught:
        file.change(bad)
    assert file.kept == DEFAULTS
    assert "hush" not in str(caught.value)


def test_the_proxys_password_is_kept_apart_from_what_is_told_for_as_long_as_the_proxy_stays(root: StateFolder) -> None:
    file = PreferencesFile(root)
    file.change({"proxy": " proxy:3128 "})
    assert file.kept["proxy"] == "http://proxy:3128"
    file.change({"proxy": "http://alice@proxy:3128", "proxy_password": "hush"})
    file.change({"proxy": "alice@proxy:3128", "mtu": 1400})
    assert "hush" not in str(file.kept)
    again = PreferencesFile(root)
    assert again.kept == file.kept
    assert again.proxy == HttpProxy("proxy", 3128, "alice", "hush")
    assert stat.S_IMODE((root.path / "preferences.json").stat().st_mode) == 0o600
    again.change({"proxy": "http://alice@other:3128"})
    assert again.proxy == HttpProxy("other", 3128, "alice")
    assert not any(b"hush" in path.read_bytes() for path in root.path.iterdir() if path.is_file())
    again.change({"proxy": ""})
    assert again.proxy is None


def test_a_full_disk_changes_nothing(root: StateFolder) -> None:
    file = PreferencesFile(root)
    (root.path / "preferences.json.new").mkdir()
    with pytest.raises(NotSaved):
        file.change({"mtu": 1420})
    assert file.kept == DEFAULTS


@pytest.mark.parametrize("content", [b"", b"[]", b'{"version": 2}', b'{"version": 1, "mtu": 7}', PROXYLESS, b"\xff"])
def test_a_damaged_file_is_kept_aside(root: StateFolder, content: bytes) -> None:
    (root.path / "preferences.json").write_bytes(content)
    assert PreferencesFile(root).kept == DEFAULTS
    assert (root.path / "preferences.json.damaged").read_bytes() == content
    assert len(root.notes) == 1


@given(JSON | st.dictionaries(st.sampled_from([*DEFAULTS, "other"]), JSON, max_size=4))
def test_any_json_is_a_change_or_a_usage_error(changes: Any) -> None:
    try:
        new = changed(DEFAULTS, changes)
    except UsageError:
        return
    assert json.loads(json.dumps(new)) == new
    assert new.keys() == DEFAULTS.keys()
