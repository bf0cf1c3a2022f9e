from datetime import UTC, datetime

import pytest

from helper.clients.trust import check_pin, name_in, wrong_dates
from protocol.errors import CertificateMismatch, CertificateUntrusted, ClockOff
from tests.unit.helper.clients.servers import certificate


def day(year: int) -> datetime:
    return datetime(year, 1, 1, tzinfo=UTC)


def test_a_pin_is_the_certificate_s_sha_256() -> None:
    ours, other = certificate("covey-server"), certificate("covey-server")
    check_pin(ours.der, ours.pin, "here")
    with pytest.raises(CertificateMismatch):
        check_pin(other.der, ours.pin, "here")


@pytest.mark.parametrize(
    ("names", "host", "name"),
    [
        (("covey-server", "192.0.2.1"), "192.0.2.1", "covey-server"),
        (("covey-server",), "vpn.example.org", "covey-server"),
        (("covey-server", "vpn.example.org"), "vpn.example.org", "vpn.example.org"),
        (("other.example.org",), "192.0.2.1", "other.example.org"),
        (("*.example.org",), "192.0.2.1", "covey.example.org"),
        (("192.0.2.1",), "192.0.2.1", "192.0.2.1"),
    ],
)
def test_the_name_to_verify_is_one_that_the_certificate_has(names: tuple[str, ...], host: str, name: str) -> None:
    assert name_in(certificate(*names).der, host) == name


@pytest.mark.parametrize("der", [b"", b"no certificate", certificate().der])
def test_a_certificate_without_names_is_not_trusted(der: bytes) -> None:
    with pytest.raises(CertificateUntrusted):
        name_in(der, "192.0.2.1")


@pytest.mark.parametrize(
    ("begin", "end", "kind"),
    [(2000, 2100, None), (2030, 2040, ClockOff), (2010, 2011, ClockOff), (2010, 2025, CertificateUntrusted)],
)
def test_wrong_dates_blame_the_clock_or_whoever_should_have_renewed(begin: int, end: int, kind: type | None) -> None:
    found = wrong_dates(certificate("x", dates=(day(begin), day(end))).der, "192.0.2.1:443", day(2026))
    if kind is None:
        assert found is None
    else:
        assert type(found) is kind
        assert "2026-01-01" in str(found)  # our time
        assert f"{begin if begin > 2026 else end}-01-01" in str(found)  # and the certificate's
