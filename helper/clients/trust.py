"""Is this the server we mean? Pinned certificates, and what to tell people about those that don't verify."""

import hashlib
import hmac
import ipaddress
import ssl
from datetime import UTC, datetime

from protocol.errors import CertificateMismatch, CertificateUntrusted, ClockOff, CoveyError

SERVER_NAME = "covey-server"  # the DNS name in the certificate that a Covey server makes for itself
NOT_YET_VALID, EXPIRED = 9, 10  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED


def pinned_context() -> ssl.SSLContext:
    """A client that verifies nothing by itself: the pin decides."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context


def public_context() -> ssl.SSLContext:
    """A client that trusts the system's certificate authorities, or those that SSL_CERT_FILE names."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["h2"])
    return context


def check_pin(certificate: bytes, pin: bytes, where: str) -> None:
    """Compare a certificate (DER) with the SHA-256 that is expected. Raises CertificateMismatch."""
    if not hmac.compare_digest(hashlib.sha256(certificate).digest(), pin):
        raise CertificateMismatch(f"{where} has another certificate than the one that the join link names")


def name_in(certificate: bytes, host: str) -> str:
    """A name that the certificate (DER) is good for: for a host name that very one if possible, else Covey's own, else any.

    Raises:
        CertificateUntrusted: it names nothing.
    """
    if not _is_ip(host) or _dns_entry(SERVER_NAME) not in certificate:  # the usual case needs no parser, 70 ms to import
        from cryptography import x509

        try:
            parsed = x509.load_der_x509_certificate(certificate)
            names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (ValueError, x509.ExtensionNotFound):
            raise CertificateUntrusted("the server's certificate names no server") from None
        known = [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]
        preferred = [name for name in (host, SERVER_NAME) if name in known]
        if not known:
            raise CertificateUntrusted("the server's certificate names no server")
        return (preferred or [name.replace("*", "covey", 1) for name in known])[0]
    return SERVER_NAME


def _dns_entry(name: str) -> bytes:
    """A dNSName in a SubjectAltName: context tag 2, length, text (RFC 5280, section 4.2.1.6)."""
    return bytes((0x82, len(name))) + name.encode()


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def wrong_dates(certificate: bytes, where: str, now: datetime) -> CoveyError | None:
    """What to say about a certificate (DER) that is not valid now, or None if its dates are right.

    A certificate from the future means that our clock is behind. One that ran out longer ago than it was ever valid would
    have been noticed by others: our clock is ahead. In between the server's owner forgot to renew it.
    """
    from cryptography import x509

    try:
        parsed = x509.load_der_x509_certificate(certificate)
        begin, end = parsed.not_valid_before_utc, parsed.not_valid_after_utc
    except ValueError:
        return CertificateUntrusted(f"the certificate of {where} is damaged")
    ours = f"this machine's clock says {now:%Y-%m-%d %H:%M} UTC"
    if now < begin:
        return ClockOff(f"the certificate of {where} becomes valid on {begin:%Y-%m-%d %H:%M} UTC, but {ours}")
    if now - end > end - begin:
        return ClockOff(f"the certificate of {where} was valid until {end:%Y-%m-%d %H:%M} UTC, but {ours}")
    if now > end:
        return CertificateUntrusted(
            f"the certificate of {where} ran out on {end:%Y-%m-%d %H:%M} UTC; {ours}",
            "Whoever runs the server has to renew its certificate; if the date above is wrong, set this machine's clock.",
        )
    return None


def untrusted(error: ssl.SSLCertVerificationError, where: str, certificate: bytes | None) -> CoveyError:
    """What to say about a certificate that the system's authorities don't vouch for."""
    if error.verify_code in (NOT_YET_VALID, EXPIRED) and certificate is not None:
        found = wrong_dates(certificate, where, datetime.now(UTC))
        if found is not None:
            return found
    return CertificateUntrusted(f"the certificate of {where} is not to be trusted: {error.verify_message}")
