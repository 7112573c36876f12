"""Keys that an installation makes for itself: the signing key and one API key, readable by their owner only."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from deploy.config import Config


def secret(path: Path) -> str:
    """The secret at `path`; made (mode 0600) when there is none yet."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:  # made by another process just now
            return path.read_text().strip()
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32))
    return path.read_text().strip()


def signing_key(config: Config) -> bytes:
    """What request ids are signed with; every gateway of an installation needs the same."""
    return secret(config.stack.var / "secrets" / "signing.key").encode()


def api_key(config: Config) -> str:
    """The API key that `homeostat up` makes, with the scopes infer and feedback."""
    return secret(api_key_file(config))


def api_key_file(config: Config) -> Path:
    return config.stack.var / "secrets" / "api.key"
