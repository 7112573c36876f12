"""The keys of an installation, readable by their owner only: the signing key and one API key that it makes for itself,
and those that `[secrets]` names."""

from __future__ import annotations

import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from serving.gateway.access.keys import PREFIX
from streams.files import put_new
from streams.identity import Signer

if TYPE_CHECKING:
    from deploy.config.settings import Config  # takes a while to load, and a caller elsewhere needs none

LEAST = 43  # characters: 256 bits as `token_urlsafe` writes them
LEAST_DIFFERENT = 9  # characters: a random word has them all but surely
EVERYBODY = stat.S_IRWXO


class SecretError(ValueError):
    """A file that should hold a secret and holds none that may be believed; the message says what to do."""


def secret(path: Path, prefix: str = "") -> str:
    """Return the secret at `path`; made (mode 0600), with the prefix, when there is none yet. Raise SecretError where
    the file holds less than a secret, something else, or lies open to everybody."""
    if not path.exists():
        _make(path, prefix)
    return _checked(path, _read(path))


def signer(config: Config) -> Signer:
    """Return what signs request ids, and takes those of the keys before; every process of an installation needs the
    same keys. Raise SecretError where a file is missing or cannot be believed."""
    given, private = config.secrets.signing_key_files, config.secrets.mask_key_file
    keys = [existing(path) for path in given] or [secret(installation_key(config)).encode()]
    return Signer(keys[0], older=tuple(keys[1:]), private=existing(private) if private else b"")


def installation_key(config: Config) -> Path:
    """Return the path of the key that an installation makes for itself; it signs and masks where no other is named."""
    return config.stack.var / "secrets" / "signing.key"


def existing(path: Path) -> bytes:
    """Return the secret of a file that something else makes. Raise SecretError where there is none."""
    if not path.exists():
        raise SecretError(f"{path} is not there, expected a key, one word of at least {LEAST} characters, mode 0600")
    return _checked(path, _read(path)).encode()


def default_key(config: Config) -> bool:
    """Return whether the gateways take the API key that `homeostat up` makes: where the stack is embedded, unless
    `gateway.default_key` says otherwise."""
    asked = config.gateway.default_key
    return config.stack.embedded_kafka if asked is None else asked


def replica_key(config: Config) -> bytes:
    """Return a side-car's private key in PEM. Without `replica.key_file` it is made at the first start. Raise
    SecretError where it cannot be read or lies open to everybody."""
    path = config.replica.key_file
    if path is None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        path = config.stack.var / "secrets" / "replica.pem"
        if not path.exists():
            made = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            put_new(path, made, forced=True)
    try:
        check_closed(path)
        return path.read_bytes()
    except OSError as error:
        raise SecretError(f"{path} cannot be read: {error.strerror}; replica.key_file names it") from error


def api_key(config: Config) -> str:
    """Return the API key that `homeostat up` makes, with the scopes infer and feedback."""
    return secret(api_key_file(config), PREFIX)


def api_key_file(config: Config) -> Path:
    """Return the path of the API key."""
    return config.stack.var / "secrets" / "api.key"


def check_closed(path: Path, *, to: int = EVERYBODY) -> None:
    """Raise SecretError where others than owner and group may do with the file what `to` says (mode bits)."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & to:
        raise SecretError(f"{path} lies open to everybody (mode {mode:04o}), expected mode 0600: chmod 600 {path}")


def _make(path: Path, prefix: str) -> None:
    put_new(path, (prefix + secrets.token_urlsafe(32)).encode(), forced=True)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except UnicodeDecodeError as error:
        raise SecretError(f"{path} holds something else than a secret, {_expected(path)}") from error
    except OSError as error:
        raise SecretError(f"{path} cannot be read: {error.strerror}") from error


def _checked(path: Path, text: str) -> str:
    check_closed(path)
    if len(text) < LEAST:
        raise SecretError(f"{path} has {len(text)} characters, {_expected(path)}")
    if not text.isprintable() or " " in text:
        raise SecretError(f"{path} has more than one word, {_expected(path)}")
    if (found := len(set(text))) < LEAST_DIFFERENT:
        raise SecretError(f"{path} has {found} different characters, which anybody may guess, {_expected(path)}")
    return text


def _expected(path: Path) -> str:
    return (
        f"expected one word of at least {LEAST} characters: put back the one that was there, "
        f"or delete {path} for a new one (what was signed with the old one is then refused)"
    )
