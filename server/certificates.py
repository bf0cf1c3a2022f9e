"""The server's TLS certificate: given as files, or its own, which clients pin by the fingerprint in the join link.

Its own is made once and kept: EC P-256, valid from 2000 to 2100 so that a clock that is off does not matter, and able to sign
(CA:TRUE), because clients take the pinned certificate as the only root that they trust, under the name `covey-server`.
"""

import datetime
import hashlib
import logging
import os
import ssl
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from protocol.addresses import IPAddress
from protocol.errors import CoveyError
from server.files import write_atomically

log = logging.getLogger(__name__)

COMMON_NAME = "covey-server"
CERTIFICATE, KEY = "certificate.pem", "certificate.key"
VALID_FROM = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
VALID_UNTIL = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)
ALPN = ["stun.turn", "http/1.1"]  # what we end TLS for ourselves; gRPC ends its own and speaks h2


class CertificateUnusable(CoveyError):
    code = "certificate-unusable"
    hint = "Give PEM files: --certificate with the certificate and what follows it in its chain, --certificate-key with its key."


@dataclass(frozen=True, slots=True, repr=False)
class Certificate:
    """A certificate with its key.

    Attributes:
        chain_pem: the server's own certificate first.
        fingerprint: SHA-256 of the server's own certificate in DER, 32 bytes.
        public_names: the names under which any client trusts it already; empty: clients have to pin it.
    """

    chain_pem: bytes
    key_pem: bytes
    fingerprint: bytes
    public_names: tuple[str, ...]


def make_self_signed(addresses: Iterable[IPAddress]) -> tuple[bytes, bytes]:
    """A new certificate and its key, both PEM, for `covey-server` and these addresses."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, COMMON_NAME)])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(VALID_FROM)
        .not_valid_after(VALID_UNTIL)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(COMMON_NAME), *(x509.IPAddress(address) for address in addresses)]),
            critical=False,
        )
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )
    key_pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(serialization.Encoding.PEM), key_pem


def own_certificate(data_dir: Path, addresses: Iterable[IPAddress]) -> tuple[Path, Path]:
    """The files of the server's own certificate and key, made if they are not there.

    Later addresses do not change it: its fingerprint is in the join links that people have.
    """
    certificate, key = data_dir / CERTIFICATE, data_dir / KEY
    if not certificate.exists():  # it is written last, so its key is there if it is
        chain_pem, key_pem = make_self_signed(addresses)
        write_atomically(key, key_pem)
        write_atomically(certificate, chain_pem, 0o644)
    return certificate, key


def load_certificate(chain_file: Path, key_file: Path, wanted_names: tuple[str, ...] = ()) -> Certificate:
    """Read and check a certificate and its key. Raises CertificateUnusable with the reason.

    `wanted_names` must be trusted by any client; wildcards count. Without any it is all that stand in the certificate.
    """
    try:
        chain_pem, key_pem = chain_file.read_bytes(), key_file.read_bytes()
        if stat.S_IMODE(os.stat(key_file).st_mode) & 0o077:
            log.warning("the key in %s can be read by others than its owner", key_file)
    except OSError as error:
        raise CertificateUnusable(f"cannot read {error.filename}: {error.strerror}") from None
    try:
        chain = x509.load_pem_x509_certificates(chain_pem)
    except ValueError:
        raise CertificateUnusable(f"{chain_file} holds no certificate in PEM") from None
    try:
        key = serialization.load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise CertificateUnusable(f"{key_file} holds no private key in PEM without a password") from None
    if key.public_key() != chain[0].public_key():
        raise CertificateUnusable(f"the key in {key_file} does not belong to the certificate in {chain_file}")
    names = _public_names(chain, wanted_names)
    if missing := [name for name in wanted_names if name not in names]:
        raise CertificateUnusable(
            f"not every client trusts the certificate in {chain_file} as {missing[0]}",
            "Leave --public-name out, or give a certificate for this name from an authority that this system trusts.",
        )
    return Certificate(chain_pem, key_pem, hashlib.sha256(chain[0].public_bytes(serialization.Encoding.DER)).digest(), names)


def _public_names(chain: list[x509.Certificate], wanted_names: tuple[str, ...]) -> tuple[str, ...]:
    """The names, wanted or else the certificate's own without wildcards, that this system's authorities vouch for."""
    if chain[0].issuer == chain[0].subject:
        return ()
    try:
        names = chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
        store = Store(_system_roots())
    except (x509.ExtensionNotFound, ValueError):  # no names, or no roots
        return ()
    trusted = []
    for name in wanted_names or names:
        try:
            PolicyBuilder().store(store).build_server_verifier(x509.DNSName(name)).verify(chain[0], chain[1:])
        except (VerificationError, ValueError):  # wildcards are no name to verify
            continue
        trusted.append(name)
    return tuple(trusted)


def _system_roots() -> list[x509.Certificate]:
    paths = ssl.get_default_verify_paths()
    files = [Path(paths.cafile)] if paths.cafile else list(Path(paths.capath).glob("*.0")) if paths.capath else []
    roots = []
    for file in files:
        try:
            roots += x509.load_pem_x509_certificates(file.read_bytes())
        except (OSError, ValueError):
            continue
    return roots


class ServerTls:
    """The certificate in use, for everything that ends TLS; `reload` takes in renewed files without a restart."""

    def __init__(self, chain_file: Path, key_file: Path, wanted_names: tuple[str, ...] = ()) -> None:
        self._files, self._wanted_names = (chain_file, key_file), wanted_names
        self.certificate = load_certificate(chain_file, key_file, wanted_names)
        self._seen: tuple[int, ...] | None = self._stamps()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(ALPN)
        self._load_into_context()

    def reload(self) -> bool:
        """Take in changed files for new connections; say whether there were any.

        Bad ones leave all as it is, with a warning, and are looked at again the next time. Nothing in them ends the server.
        """
        stamps = self._stamps()
        if stamps == self._seen:
            return False
        self._seen = stamps
        try:
            certificate = load_certificate(*self._files, self._wanted_names)
            if certificate == self.certificate:
                return False
            self._load_into_context()
        except Exception as error:
            log.warning("the renewed certificate is not used: %s", error, exc_info=not isinstance(error, CoveyError))
            self._seen = None
            return False
        self.certificate = certificate
        return True

    def _load_into_context(self) -> None:
        try:
            self.context.load_cert_chain(*self._files, password="")
        except (ssl.SSLError, OSError, ValueError) as error:
            raise CertificateUnusable(f"TLS cannot use the certificate in {self._files[0]}: {error}") from None

    def _stamps(self) -> tuple[int, ...]:
        try:
            found = [file.stat() for file in self._files]
        except OSError:
            return ()
        return tuple(stamp for one in found for stamp in (one.st_mtime_ns, one.st_ctime_ns, one.st_ino))
