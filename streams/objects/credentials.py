"""Credentials of a bucket: where a client looks for them, and the error where there are none.

The libraries take them from the environment, else from the role of the machine that they run on. They ask its metadata
service as patiently as the store itself: where there is no such service, that takes minutes and names an address that
no setting has."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from streams.objects.store import StorageError

NAMED = {  # by the scheme of the address: what to set
    "s3": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_WEB_IDENTITY_TOKEN_FILE"),
    "gs": ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_KEY"),
    "az": ("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_TOKEN", "AZURE_FEDERATED_TOKEN_FILE"),
}
KNOWN = {  # and all that the libraries take instead of asking for a role
    "s3": r"AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|WEB_IDENTITY_TOKEN_FILE|CONTAINER_CREDENTIALS_\w+_URI|SKIP_SIGNATURE)",
    "gs": r"GOOGLE_(APPLICATION_CREDENTIALS|SERVICE_ACCOUNT\w*|SKIP_SIGNATURE)",
    "az": r"AZURE_\w*(KEY|TOKEN|SECRET|TOKEN_FILE|USE_AZURE_CLI|EMULATOR|SKIP_SIGNATURE)",
}
PAINT = re.compile(r"\x1b\[[0-9;]*m|↳")  # in the errors of the lake's library
MISSING = (  # parts of the libraries' errors
    "token request",
    "/latest/api/token",
    "/latest/meta-data/iam",
    "loading credentials",
    "no credentials found in chain",
)


@dataclass(slots=True)
class MachineRole:
    """The machine's role, asked for once and impatiently before the first use of a bucket. `ask` asks the bucket
    anything; None: nothing is to be asked, or it was."""

    name: str
    ask: Callable[[], object] | None

    def require(self) -> None:
        """Raise StorageError where there is none. Any other trouble of the bucket is left to its user."""
        if (ask := self.ask) is None:
            return
        try:
            ask()
        except Exception as error:  # the library's, of many kinds
            if missing(str(error)):
                raise no_credentials(self.name, error) from error
        self.ask = None


def in_environment(url: str, environment: Mapping[str, str]) -> bool:
    """Return whether the environment names credentials for such an address, so that no machine's role is asked for.

    >>> in_environment("s3://bucket", {"AWS_PROFILE": "x"}), in_environment("s3://bucket", {"AWS_ACCESS_KEY_ID": "x"})
    (False, True)
    """
    known = KNOWN.get(url.partition("://")[0], "")
    return any(re.fullmatch(known, name.upper()) for name in environment)


def missing(text: str) -> bool:
    """Return whether an error of a library means that it has no credentials.

    >>> missing("Error performing PUT http://169.254.169.254/latest/api/token in 1s, after 5 retries")
    True
    """
    return any(part in text for part in MISSING)


def no_credentials(url: str, error: Exception) -> StorageError:
    """Return the error that names what to set."""
    names = NAMED.get(url.partition("://")[0], ())
    why = " ".join(PAINT.sub("", str(error).partition("Debug source")[0]).split())
    return StorageError(
        f"{url}: no credentials, see storage.url: the environment has none ({', '.join(names)}), and the metadata "
        f"service of a machine's role gives none: {why[:300]}"
    )
