"""An authority of the tests' own: certificates for brokers and clients, good for as long as a test wants."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, as files; `both`: one after the other, as Kafka wants them."""

    cert: Path
    key: Path
    both: Path


class Authority:
    """Signs certificates; `ca` is its own, as a file."""

    def __init__(self, folder: Path, name: str = "tests") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._name = folder, named(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        made = certificate(self._name, self._name, self._key.public_key(), 3_650)
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.ca = folder / f"{name}-ca.pem"
        self.ca.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))

    def sign(self, name: str, days: float = 365, file: str = "") -> Pair:
        """A certificate for `name`, and for the address of this machine."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = certificate(named(name), self._name, key.public_key(), days)
        here = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
        signed = made.add_extension(x509.SubjectAlternativeName(here), critical=False).sign(self._key, hashes.SHA256())
        pair = Pair(*(self._folder / f"{file or name}.{kind}.pem" for kind in ("cert", "key", "both")))
        cert = signed.public_bytes(Encoding.PEM)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        for path, content in ((pair.cert, cert), (pair.key, private), (pair.both, private + cert)):
            part = path.with_suffix(".part")
            part.write_bytes(content)
            part.replace(path)
        return pair


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: float
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + timedelta(days=days))
    )
