from ipaddress import ip_address

from protocol.addresses import IPAddress
from server.public_names import names_that_lead_here

HERE, ELSEWHERE = ip_address("203.0.113.10"), ip_address("203.0.113.11")
DNS: dict[str, set[IPAddress]] = {"vpn.example.org": {ELSEWHERE, HERE}, "www.example.org": {ELSEWHERE}}


async def resolve(name: str) -> set[IPAddress]:
    return DNS.get(name, set())


async def test_names_of_other_hosts_are_left_out() -> None:
    names = ("www.example.org", "vpn.example.org", "gone.example.org")
    assert await names_that_lead_here(names, [HERE], resolve) == ("vpn.example.org",)


async def test_if_no_name_leads_here_all_stay_and_a_warning_says_so() -> None:
    assert await names_that_lead_here(("www.example.org",), [HERE], resolve) == ("www.example.org",)
    assert await names_that_lead_here((), [HERE], resolve) == ()
