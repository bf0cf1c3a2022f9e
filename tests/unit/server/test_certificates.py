import datetime
import os
import ssl
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from server.certificates import (
    Certificate,
    CertificateUnusable,
    ServerTls,
    load_certificate,
    make_self_signed,
    own_certificate,
)

ADDRESSES = [ip_address("203.0.113.10"), ip_address("2001:db8::10")]


def test_the_own_certificate_holds_for_a_century_and_names_the_server() -> None:
    certificate = x509.load_pem_x509_certificate(make_self_signed(ADDRESSES)[0])
    assert certificate.not_valid_before_utc.date() == datetime.date(2000, 1, 1)
    assert certificate.not_valid_after_utc.date() == datetime.date(2100, 1, 1)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["covey-server"]
    assert names.get_values_for_type(x509.IPAddress) == ADDRESSES
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_the_own_certificate_stays_even_if_the_addresses_change(tmp_path: Path) -> None:
    files = own_certificate(tmp_path, ADDRESSES)
    first = load_certificate(*files)
    assert load_certificate(*own_certificate(tmp_path, ADDRESSES[:1])) == first
    assert len(first.fingerprint) == 32
    assert first.public_names == ()


def test_the_key_is_for_its_owner_only(tmp_path: Path) -> None:
    _, key = own_certificate(tmp_path, ADDRESSES)
    assert os.stat(key).st_mode & 0o777 == 0o600


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    certificate, key = own_certificate(tmp_path, ADDRESSES)
    key.write_bytes(make_self_signed(ADDRESSES)[1])
    with pytest.raises(CertificateUnusable, match="does not belong"):
        load_certificate(certificate, key)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_damaged_files_are_named(tmp_path: Path, content: bytes) -> None:
    certificate, key = own_certificate(tmp_path, ADDRESSES)
    certificate.write_bytes(content)
    with pytest.raises(CertificateUnusable, match=str(certificate)):
        load_certificate(certificate, key)
    certificate.write_bytes(make_self_signed(ADDRESSES)[0])
    key.write_bytes(content)
    with pytest.raises(CertificateUnusable, match=str(key)):
        load_certificate(certificate, key)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CertificateUnusable, match=r"no\.pem"):
        load_certificate(tmp_path / "no.pem", tmp_path / "no.key")


def test_a_renewed_certificate_is_taken_in(tmp_path: Path) -> None:
    certificate, key = own_certificate(tmp_path, ADDRESSES)
    tls = ServerTls(certificate, key)
    before = tls.certificate.fingerprint
    assert not tls.reload()
    for file, content in zip((certificate, key), make_self_signed(ADDRESSES), strict=True):
        file.write_bytes(content)
    os.utime(certificate, ns=(1, 1))
    assert tls.reload()
    assert tls.certificate.fingerprint != before
    assert served_by(tls.context) == tls.certificate.fingerprint


def test_a_bad_renewal_changes_nothing(tmp_path: Path) -> None:
    certificate, key = own_certificate(tmp_path, ADDRESSES)
    tls = ServerTls(certificate, key)
    before = tls.certificate
    certificate.write_bytes(b"half a fi")
    os.utime(certificate, ns=(1, 1))
    assert not tls.reload()
    assert tls.certificate == before
    assert served_by(tls.context) == before.fingerprint


def test_files_that_replaced_others_of_the_same_time_are_noticed(tmp_path: Path) -> None:
    certificate, key = own_certificate(tmp_path, ADDRESSES)
    tls = ServerTls(certificate, key)
    for file, content in zip((certificate, key), make_self_signed(ADDRESSES), strict=True):
        times, new = file.stat(), tmp_path / "new"
        new.write_bytes(content)
        new.replace(file)
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert tls.reload()


@pytest.mark.parametrize("error", [CertificateUnusable("the key is not there yet"), UnsupportedAlgorithm("unknown curve")])
def test_a_renewal_that_failed_in_whatever_way_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: Path) -> Certificate:
        raise error

    certificate, key = own_certificate(tmp_path, ADDRESSES)
    tls = ServerTls(certificate, key)
    before = tls.certificate
    for file, content in zip((certificate, key), make_self_signed(ADDRESSES), strict=True):
        file.write_bytes(content)
    os.utime(certificate, ns=(1, 1))
    with monkeypatch.context() as broken:
        broken.setattr("server.certificates.load_certificate", fail)
        assert not tls.reload()
    assert tls.certificate == before
    assert tls.reload()


def trusted(monkeypatch: pytest.MonkeyPatch, folder: Path, *names: str) -> tuple[Path, Path]:
    """The files of a certificate whose authority this system trusts."""
    authority = make_self_signed([])
    issuer = x509.load_pem_x509_certificate(authority[0])
    issuer_key = serialization.load_pem_private_key(authority[1], None)
    assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
    monkeypatch.setattr("server.certificates._system_roots", lambda: [issuer])
    key = ec.generate_private_key(ec.SECP256R1())
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(issuer.not_valid_before_utc)
        .not_valid_after(issuer.not_valid_after_utc)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=True)
        .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    files = folder / "given.pem", folder / "given.key"
    files[0].write_bytes(certificate.public_bytes(pem))
    files[1].write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    files[1].chmod(0o600)
    return files


def test_wanted_names_are_those_that_everybody_trusts_and_may_be_of_a_wildcard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = trusted(monkeypatch, tmp_path, "www.example.org", "*.example.net")
    assert load_certificate(*files).public_names == ("www.example.org",)
    assert load_certificate(*files, ("vpn.example.net",)).public_names == ("vpn.example.net",)
    with pytest.raises(CertificateUnusable, match=r"vpn\.example\.org"):
        load_certificate(*files, ("www.example.org", "vpn.example.org"))


def served_by(context: ssl.SSLContext) -> bytes:
    """Shake hands in memory, and give the fingerprint that the client sees."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname, client_context.verify_mode = False, ssl.CERT_NONE
    client = client_context.wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    der = client.getpeercert(binary_form=True)
    assert der is not None
    from hashlib import sha256

    return sha256(der).digest()
