"""Tokens for OAUTHBEARER, printed by a command of the operator's: it is run again before a token expires. A command
that hangs holds up no client for long while the token before is good, and it ends with this process."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache
from selectors import EVENT_READ, DefaultSelector
from threading import Lock, Thread
from typing import IO, Any, cast

import msgspec
import structlog
from kafka.errors import SaslAuthenticationFailedError
from kafka.net.sasl.oauth import AbstractTokenProvider

from monitor.canonical import UNREADABLE
from streams.log.ending import ENDING

log = structlog.get_logger()

TIMEOUT_S = 20.0  # for the command, which asks a server and may ask it again
ENDING_S = 2.0  # likewise, once this process is to end
HELD_UP_S = 2.0  # for a new token, where the one before is good still
LOOK_S = 0.2
MOST_BYTES = 65_536  # of what it prints; brokers take less
UNKNOWN_S = 300.0  # that a token is used which does not say how long it is good
RENEWED_AT = 0.8  # of its time: clients that show it once more do so at 85 % and later
AGAIN_S = 5.0  # after a failure, while the token before is good still


class TokenFailed(SaslAuthenticationFailedError):  # type: ignore[misc]
    """The command printed no token; the message says what it did instead."""


@dataclass(frozen=True, slots=True)
class BearerToken:
    """A token, and for how long it is good; not printed."""

    text: str
    lasts_s: float

    def __repr__(self) -> str:
        return f"BearerToken(lasts_s={self.lasts_s:g})"


class _Answer(msgspec.Struct, frozen=True):
    access_token: str
    expires_in: float = UNKNOWN_S


class _Claims(msgspec.Struct, frozen=True):
    exp: float


class TokenCommand(AbstractTokenProvider):  # type: ignore[misc]
    """The command as kafka-python's source of tokens, for any number of clients and from any thread."""

    def __init__(self, command: Sequence[str], clock: Callable[[], float] = time.time) -> None:
        self._command, self._clock = tuple(command), clock
        self._lock = Lock()
        self._token = BearerToken("", 0.0)
        self._renew_at = self._ends_at = float("-inf")
        self._renewal: Future[str] | None = None  # under way

    def token(self) -> str:
        """Return a token that is good for a while. Raise TokenFailed where the command gives none and the one before
        has expired."""
        with self._lock:
            now, known = self._clock(), self._token.text
            if now < self._renew_at:
                return known
            if (renewal := self._renewal) is None:
                renewal = self._renewal = Future()
                Thread(target=self._renew, args=(renewal, now), name="token", daemon=True).start()
            good = now < self._ends_at
        try:
            return renewal.result(HELD_UP_S if good else None)
        except TimeoutError:
            return known

    def _renew(self, renewal: Future[str], now: float) -> None:
        try:
            text = self._renewed(now)
        except Exception as error:  # the thread's top: whoever waits for it gets it
            self._renewal = None
            renewal.set_exception(error)
        else:
            self._renewal = None
            renewal.set_result(text)

    def _renewed(self, now: float) -> str:
        try:
            found = printed(self._command, now)
        except TokenFailed as error:
            if now >= self._ends_at:
                raise
            self._renew_at = min(now + AGAIN_S, self._ends_at)
            log.error("the token for the brokers cannot be renewed yet", error=str(error))
            return self._token.text
        with self._lock:
            self._token, self._ends_at = found, now + found.lasts_s
            self._renew_at = now + RENEWED_AT * found.lasts_s
        return found.text


@cache
def token_command(command: tuple[str, ...]) -> TokenCommand:
    """Return the source of a command's tokens: one for all clients of a process."""
    return TokenCommand(command)


async def awaited(source: TokenCommand) -> str:
    """Return a token as `token` does, while the event loop goes on."""
    return await asyncio.to_thread(source.token)


def printed(command: Sequence[str], now: float) -> BearerToken:
    """Run the command and return its token. Raise TokenFailed."""
    name = f"kafka.security.token_command ({command[0]})"
    try:
        code, output, errors = _run(command)
    except TimeoutError as error:
        why = "was ended with this process" if ENDING.is_set() else f"did not end within {TIMEOUT_S:g} s"
        raise TokenFailed(f"{name} {why}") from error
    except OSError as error:
        raise TokenFailed(f"{name} cannot be run: {error.strerror}") from error
    if len(output) >= MOST_BYTES:
        raise TokenFailed(f"{name} printed {MOST_BYTES} bytes and more, expected a token")
    if code:
        lines = errors.decode(errors="replace").strip().splitlines()
        raise TokenFailed(f"{name} ended with {code}: {lines[-1] if lines else 'it printed no reason'}")
    try:
        found = parsed(output, now)
    except ValueError as error:
        raise TokenFailed(f"{name} {error}") from None  # the cause would show what it printed
    if found.lasts_s <= 0:
        raise TokenFailed(f"{name} printed a token that expired {-found.lasts_s:.0f} s ago")
    return found


def _run(command: Sequence[str]) -> tuple[int, bytes, bytes]:
    """Return the exit status, and the first MOST_BYTES that it wrote to stdout and to stderr. Raise OSError, or
    TimeoutError once the command, and what it started, is ended."""
    pipe, began = subprocess.PIPE, time.monotonic()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, start_new_session=True) as child:
        try:
            output, errors = _begins([child.stdout, child.stderr], began)
            while child.poll() is None:
                time.sleep(_next_look_s(began) / 10)  # it ends soon, as a rule
            return child.returncode, output, errors
        except TimeoutError:
            os.killpg(child.pid, signal.SIGKILL)  # what it started may hold its output open
            raise


def _next_look_s(began: float) -> float:
    """Return how long to wait until the next look. Raise TimeoutError once the command's time is over."""
    left_s = began + (ENDING_S if ENDING.is_set() else TIMEOUT_S) - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return min(left_s, LOOK_S)


def _begins(streams: Sequence[IO[bytes] | None], began: float) -> list[bytes]:
    """Read no more than a token may take, then close the pipe: who writes on ends by that. Raise TimeoutError."""
    read = {stream: b"" for stream in streams if stream is not None}
    with DefaultSelector() as selector:
        for stream in read:
            selector.register(stream, EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select(_next_look_s(began)):
                stream = cast("IO[bytes]", key.fileobj)
                data = os.read(key.fd, MOST_BYTES - len(read[stream]))
                read[stream] += data
                if not data:
                    selector.unregister(stream)
                    stream.close()
    return list(read.values())


def parsed(output: bytes, now: float) -> BearerToken:
    """Return the token in a command's output: JSON as an authorization server answers, or the token alone, whose own
    claim `exp` counts where it is a JWT. Raise ValueError.

    >>> parsed(b'{"access_token": "abc", "expires_in": 900}', 0), parsed(b"abc", 0).lasts_s
    (BearerToken(lasts_s=900), 300.0)
    """
    text = output.decode(errors="replace").strip()
    if text.startswith("{"):
        try:
            answer = msgspec.json.decode(output, type=_Answer, strict=False)  # some servers quote the seconds
        except UNREADABLE as error:
            raise ValueError(f"printed JSON that is no token ({error}), expected access_token, expires_in") from None
        text, lasts_s = answer.access_token, answer.expires_in
    else:
        lasts_s = UNKNOWN_S if (ends := _expiry(text)) is None else ends - now
    if not text or not all("!" <= each <= "~" for each in text):
        raise ValueError(f"printed {'more than a token' if text else 'nothing'}, expected a token alone or JSON")
    return BearerToken(text, lasts_s)


def _expiry(token: str) -> float | None:
    """When a JWT expires; None for any other token."""
    claims: Any = token.split(".")[1] if token.count(".") == 2 else ""
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)), type=_Claims).exp
    except (ValueError, RecursionError):  # msgspec's and binascii's too
        return None
