"""Our table in a real nftables, in a namespace."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from helper.firewall.firewall import FirewallRefused, open_firewall
from helper.firewall.linux import run_nft
from helper.ledger.ledger import Ledger
from helper.ledger.undo import undo_all
from tests.unit.helper.netmon.namespaces import INTERFACE, inside, ip, namespace, needs_root

pytestmark = [pytest.mark.lab, needs_root]

OTHERS = "table inet filter {\n\tchain forward {\n\t\ttype filter hook forward priority filter; policy drop;\n\t}\n}\n"


def nft(*words: str) -> str:
    return subprocess.run(["nft", *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture(autouse=True)
def alone() -> Iterator[str]:
    with namespace("f") as name, inside(name):
        yield name


async def test_the_table_is_put_back_whole_and_others_stay_as_they_are() -> None:
    await run_nft(OTHERS)
    before = nft("list", "table", "inet", "filter")
    firewall = open_firewall(INTERFACE)
    await firewall.put()
    table = nft("list", "table", "inet", f"covey-{INTERFACE}")
    assert "size set rt mtu" in table
    ours = ("inet", f"covey-{INTERFACE}")
    for change in (("flush", "table", *ours), ("delete", "table", *ours), ("add", "rule", *ours, "forward", "drop")):
        assert firewall.is_intact()
        nft(*change)
        assert not firewall.is_intact()
        await firewall.put()
    assert nft("list", "table", *ours) == table
    await firewall.remove()
    await firewall.remove()
    assert nft("list", "ruleset") == before


async def test_forwarded_tcp_is_held_to_the_route_in_either_direction(alone: str) -> None:
    # given    box --- eth --- alone --- INTERFACE, whose route to far carries 1000 bytes --- far
    with namespace("fb") as box, namespace("ff") as far:
        for name, interface, network in ((box, "eth", "192.0.2"), (far, INTERFACE, "100.92.0")):
            ip("link", "add", interface, "netns", alone, "type", "veth", "peer", "name", "cable", "netns", name)
            ip("-n", alone, "addr", "add", f"{network}.1/24", "dev", interface)
            ip("-n", alone, "link", "set", interface, "up")
            ip("-n", name, "addr", "add", f"{network}.2/24", "dev", "cable")
            ip("-n", name, "link", "set", "cable", "up")
            ip("-n", name, "route", "add", "default", "via", f"{network}.1")
        ip("-n", alone, "route", "add", "100.92.0.2/32", "dev", INTERFACE, "mtu", "1000")
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        await open_firewall(INTERFACE).put()
        # when, then
        for here, there, address in ((box, far, "100.92.0.2"), (far, box, "192.0.2.2")):
            with inside(there):
                listener = socket.create_server((address, 7000))
            with inside(here), listener, socket.create_connection((address, 7000), 60) as caller:
                called, _ = listener.accept()
                with called:
                    assert {end.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) for end in (caller, called)} == {1000 - 40 - 12}


async def test_a_crash_leaves_no_table(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.json")
    ledger.record("nft-table", interface=INTERFACE, table=f"covey-{INTERFACE}")
    await open_firewall(INTERFACE).put()
    assert [INTERFACE in sentence for sentence in await undo_all(ledger)] == [True]
    assert nft("list", "ruleset") == ""
    assert ledger.entries() == ()


async def test_what_nftables_says_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FirewallRefused, match="syntax error"):
        await run_nft("table inet\n")
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(FirewallRefused, match="not installed"):
        await open_firewall(INTERFACE).put()
