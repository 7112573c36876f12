"""A call over HTTP, from the caller's side: the form that goes, and the lines that come."""

from __future__ import annotations

import http.client
import secrets
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from deploy.admin import wire
from deploy.admin.call import CALL, PATH, Call
from deploy.config.admin_settings import AdminSettings
from monitor.canonical import UNREADABLE

READ = 65_536
SILENT_S = 4 * wire.ALIVE_S  # without a line: the server takes a call at once, and a command under way says so
REMEDY = {
    401: "get a new key or token (admin.token_file, admin.token_command)",
    403: "ask who gives out keys or groups for the scope",
    404: "the server may be of another release",
    413: "see admin.upload_bytes of the server",
    429: "try again in a while, or raise admin.at_once of the server",
}


BROKEN = (
    "the connection broke off; the command may have done its work: look (`homeostat status`) before you give it again"
)


class AdminAway(OSError):
    """The admin API does not answer; the message says which, why, and what to do."""


class Refused(RuntimeError):
    """The admin API does not run the command; the message is the server's, and what to do."""


def pieces(
    settings: AdminSettings, token: str, name: str, call: Call, files: Mapping[str, list[Path]]
) -> Iterator[wire.OutputPiece]:
    """Yield what comes of a command. Raise AdminAway or Refused."""
    with _connected(settings) as connection:
        path = f"{urlsplit(settings.url).path.rstrip('/')}{PATH}/{name.replace(' ', '/')}"
        response = _asked(connection, path, token, call, files, settings.url)
        if response.status != 200:
            raise Refused(_why(settings.url, response))
        while line := response.readline():
            yield msgspec.json.decode(line, type=wire.OutputPiece)


@contextmanager
def _connected(settings: AdminSettings) -> Iterator[http.client.HTTPConnection]:
    try:
        connection = _connection(settings)
        connection.connect()
        connection.sock.settimeout(SILENT_S)
    except OSError as error:
        raise AdminAway(_away(settings, error)) from error
    try:
        yield connection
    except (OSError, http.client.HTTPException, *UNREADABLE) as error:
        if isinstance(error, AdminAway):
            raise
        silent = f"it took the connection, and then said nothing for {SILENT_S:g} s"
        why = silent if isinstance(error, TimeoutError) else repr(error)
        raise AdminAway(f"{settings.url} ({why}): {BROKEN}") from error
    finally:
        connection.close()


def _connection(settings: AdminSettings) -> http.client.HTTPConnection:
    parts, timeout_s = urlsplit(settings.url), settings.connect_timeout_s
    host = parts.hostname or ""
    if parts.scheme != "https":
        return http.client.HTTPConnection(host, parts.port, timeout=timeout_s)
    context = ssl.create_default_context(cafile=str(settings.ca) if settings.ca else None)
    return http.client.HTTPSConnection(host, parts.port, timeout=timeout_s, context=context)


def _away(settings: AdminSettings, error: OSError) -> str:
    why = getattr(error, "verify_message", None) or error.strerror or str(error) or type(error).__name__
    if isinstance(error, ssl.SSLCertVerificationError):
        what, remedy = "shows a certificate that is not believed", "set admin.ca to whom it leads to"
    elif isinstance(error, ssl.SSLError):
        what, remedy = (
            "does not speak TLS as expected",
            "set admin.tls_cert and admin.tls_key there, or see admin.url",
        )
    else:
        what, remedy = "cannot be reached", "does `homeostat run admin` run there? See admin.url"
    return f"the admin API at {settings.url} {what} ({why}); nothing was sent: {remedy}"


def _asked(
    connection: http.client.HTTPConnection,
    path: str,
    token: str,
    call: Call,
    files: Mapping[str, list[Path]],
    url: str,
) -> http.client.HTTPResponse:
    boundary = secrets.token_hex(16)
    headers = {"authorization": f"Bearer {token}", "accept": wire.CONTENT}
    try:
        if not files:
            body = msgspec.json.encode(call)
            connection.request("POST", path, body, {**headers, "content-type": "application/json"})
        else:
            kind = {"content-type": f"multipart/form-data; boundary={boundary}", "transfer-encoding": "chunked"}
            connection.request("POST", path, _form(boundary, call, files), {**headers, **kind}, encode_chunked=True)
    except (BrokenPipeError, ConnectionResetError):
        pass  # an answer that came before all was sent says why
    return connection.getresponse()


def _form(boundary: str, call: Call, files: Mapping[str, list[Path]]) -> Iterator[bytes]:
    yield _head(boundary, CALL, "") + msgspec.json.encode(call)
    for name, paths in files.items():
        for path in paths:
            inside = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
            for each in inside:
                yield _head(boundary, name, each.relative_to(path).as_posix() if each != path else "file")
                with each.open("rb") as file:
                    while data := file.read(READ):
                        yield data
    yield f"\r\n--{boundary}--\r\n".encode()


def _head(boundary: str, name: str, filename: str) -> bytes:
    given = f'; filename="{filename}"' if filename else ""
    return f'\r\n--{boundary}\r\ncontent-disposition: form-data; name="{name}"{given}\r\n\r\n'.encode()


def _why(url: str, response: http.client.HTTPResponse) -> str:
    body = response.read(READ)
    try:
        message = str(msgspec.json.decode(body)["error"]["message"])
    except (KeyError, TypeError, *UNREADABLE):
        message = f"status {response.status}, and no reason as the admin API gives one: is this its address?"
    remedy = REMEDY.get(response.status)
    return f"{url}: {message}" + (f"; {remedy}" if remedy else "")
