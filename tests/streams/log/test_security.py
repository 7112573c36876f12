"""Passwords, tokens and certificates: from files and a command, read again when they change, and clear errors."""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from deploy.doctor.certificates import broker_certificates
from streams.log.client import REFUSED
from streams.log.ending import ENDING
from streams.log.security.expiry import expiring
from streams.log.security.files import AccountFiles
from streams.log.security.settings import SecuritySettings
from streams.log.security.tls import RenewedContext, TlsFiles
from streams.log.security.tokens import TokenCommand, TokenFailed, parsed, printed
from streams.log.settings import KafkaSettings
from streams.worker.faust_broker import AwaitedTokens, credentials
from tests.support.authority import Authority
from tests.support.waiting import wait

SECRET = "s3cret-of-a-user"


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1_000_000))  # another time, however quick the test
    return path


def scram(folder: Path) -> SecuritySettings:
    user, password = written(folder / "user", "worker\n"), written(folder / "password", f"{SECRET}\n")
    return SecuritySettings(sasl_mechanism="SCRAM-SHA-512", username_file=user, password_file=password)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"sasl_mechanism": "SCRAM-SHA-512", "password_file": Path("p")}, "username_file is missing"),
    ({"sasl_mechanism": "PLAIN", "username_file": Path("u")}, "password_file is missing"),
    ({"sasl_mechanism": "OAUTHBEARER"}, "token_command is missing"),
    ({"token_command": ("token",)}, "token_command has no effect"),
    ({"cert": Path("c")}, "key is missing"),
    ({"key": Path("k")}, "cert is missing"),
    ({"protocol": "SASL_SSL"}, "expected a mechanism with SASL_SSL"),
    ({"protocol": "SSL", "sasl_mechanism": "OAUTHBEARER", "token_command": ("t",)}, "and none with SSL"),
    ({"protocol": "PLAINTEXT", "ca": Path("ca")}, "no effect without TLS"),
]


@pytest.mark.parametrize(("given", "expected"), WRONG)
def test_a_mechanism_without_what_it_needs_is_refused_by_name(given: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected) as raised:
        SecuritySettings(**given)
    assert "kafka.security." in str(raised.value)


def test_a_mechanism_means_tls_unless_the_settings_say_otherwise(tmp_path: Path) -> None:
    assert scram(tmp_path).used == "SASL_SSL"
    assert SecuritySettings(ca=Path("ca")).used == "SSL"
    assert SecuritySettings().used == ""
    assert KafkaSettings(security=scram(tmp_path)).secured
    assert not KafkaSettings().secured


def test_options_and_security_are_not_mixed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"kafka\.options has security_protocol, ssl_cafile: expected none with"):
        KafkaSettings(options={"ssl_cafile": "x", "security_protocol": "SSL"}, security=scram(tmp_path))
    KafkaSettings(options={"bootstrap_timeout_ms": 9}, security=scram(tmp_path))


def test_both_clients_take_the_account_from_files_and_show_no_password(tmp_path: Path) -> None:
    kafka = KafkaSettings(security=scram(tmp_path))
    assert kafka.client["sasl_plain_password"] == SECRET
    assert kafka.client["sasl_mechanism"] == "SCRAM-SHA-512"
    found = credentials(kafka)
    assert (found.username, found.password, found.mechanism.value) == ("worker", SECRET, "SCRAM-SHA-512")
    assert isinstance(found.ssl_context, ssl.SSLContext)
    assert SECRET not in repr(kafka) + repr(kafka.security.account())


def test_an_account_is_read_again_and_survives_a_broken_file(tmp_path: Path) -> None:
    security = scram(tmp_path)
    assert security.secrets()["sasl_plain_password"] == SECRET
    written(tmp_path / "password", "the-next-one\n")
    assert security.secrets()["sasl_plain_password"] == "the-next-one"
    (tmp_path / "password").unlink()
    assert security.secrets()["sasl_plain_password"] == "the-next-one"


@pytest.mark.parametrize(
    ("text", "expected"), [(None, "cannot be read"), ("", "nothing in it"), ("a\nb", "more lines")]
)
def test_an_account_that_was_never_read_is_refused_by_name(tmp_path: Path, text: str | None, expected: str) -> None:
    user, password = written(tmp_path / "user", "worker"), tmp_path / "password"
    if text is not None:
        password.write_text(text)
    with pytest.raises(ValueError, match=rf"kafka\.security\.password_file = .*password': .*{expected}"):
        AccountFiles(user, password).read()


def jwt(ends: float) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": ends}).encode()).decode().rstrip("=")
    return f"e30.{claims}.x"


def test_a_tokens_own_end_counts() -> None:
    assert parsed(jwt(1_900.0).encode(), now=1_000).lasts_s == 900
    assert parsed(b"opaque\n", now=0).lasts_s == 300
    assert parsed(b'{"access_token": "abc", "expires_in": 60}', now=0).lasts_s == 60
    assert parsed(b'{"access_token": "abc", "expires_in": "3599"}', now=0).lasts_s == 3_599
    assert "abc" not in repr(parsed(b"abc", now=0))


@pytest.mark.parametrize(
    "output", [b"", b"two words", b"{}", b"\xff\xfe\x01", "tok\u00e9n".encode(), b'{"access_token": 3}', b"line\nline"]
)
def test_what_is_no_token_is_refused_and_not_shown(output: bytes) -> None:
    with pytest.raises(ValueError, match="expected") as raised:
        parsed(output, now=0)
    assert "words" not in str(raised.value)


FAILING: list[tuple[str, str]] = [
    ("import sys; print('no role', file=sys.stderr); sys.exit(3)", "ended with 3: no role"),
    ("pass", "printed nothing"),
    (f"print({jwt(5.0)!r})", "expired"),
    ("while True: print('y' * 9_999)", "printed 65536 bytes and more, expected a token"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("code", "expected"), FAILING)
def test_a_command_that_gives_no_token_is_named_with_its_reason(code: str, expected: str) -> None:
    with pytest.raises(TokenFailed, match=expected) as raised:
        printed([sys.executable, "-c", code], now=1_000.0)
    assert "kafka.security.token_command" in str(raised.value)
    assert isinstance(raised.value, REFUSED), "clients raise it at once"


def test_a_command_that_is_not_there_is_named() -> None:
    with pytest.raises(TokenFailed, match=r"\(/no/such\) cannot be run: No such file"):
        printed(["/no/such"], now=0)


@pytest.mark.slow
def test_a_command_that_does_not_end_leaves_no_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its output stays open in what it started."""
    monkeypatch.setattr("streams.log.security.tokens.TIMEOUT_S", 1.0)
    with pytest.raises(TokenFailed, match="did not end within 1 s"):
        printed(["sh", "-c", f"sleep 600 & echo $! > {tmp_path / 'pid'}; echo token"], now=0)
    left = int((tmp_path / "pid").read_text())
    wait(lambda: not psutil.pid_exists(left) or psutil.Process(left).status() == psutil.STATUS_ZOMBIE)


class Commands:
    """Stands in for running the command: a token a run, or a failure."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, lasts_s: float) -> None:
        self.runs, self.failing, self.now, self.lasts_s = 0, False, 1_000.0, lasts_s
        monkeypatch.setattr("streams.log.security.tokens.printed", self.printed)
        self.source = TokenCommand(("token",), clock=lambda: self.now)

    def printed(self, command: tuple[str, ...], now: float) -> Any:
        self.runs += 1
        if self.failing:
            raise TokenFailed("away")
        return parsed(json.dumps({"access_token": f"t{self.runs}", "expires_in": self.lasts_s}).encode(), now)


def test_a_token_is_used_until_shortly_before_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = Commands(monkeypatch, 100.0)
    assert [commands.source.token(), commands.source.token()] == ["t1", "t1"]
    commands.now += 79
    assert commands.source.token() == "t1"
    commands.now += 2
    assert commands.source.token() == "t2"


def test_a_command_that_hangs_holds_nobody_up_whose_token_is_good_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.log.security.tokens.HELD_UP_S", 0.05)
    commands, go_on = Commands(monkeypatch, 100.0), threading.Event()
    assert commands.source.token() == "t1"
    monkeypatch.setattr("streams.log.security.tokens.printed", lambda *given: go_on.wait() and commands.printed(*given))
    commands.now += 85
    assert [commands.source.token(), commands.source.token()] == ["t1", "t1"]
    go_on.set()
    wait(lambda: commands.source.token() == "t2", what="the new token")
    assert commands.runs == 2


@pytest.mark.parametrize("does", ["sleep 3600", "exec >&- 2>&-; sleep 3600"], ids=["hangs", "has closed its output"])
def test_a_command_that_hangs_ends_with_the_process(does: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.log.security.tokens.TIMEOUT_S", 3_600.0)
    monkeypatch.setattr("streams.log.security.tokens.ENDING_S", 0.2)
    ENDING.set()
    try:
        with pytest.raises(TokenFailed, match=r"token_command \(sh\) was ended with this process"):
            printed(["sh", "-c", does], 0.0)
    finally:
        ENDING.clear()


async def test_a_failing_command_harms_once_the_token_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    from aiokafka.errors import AuthenticationFailedError

    commands = Commands(monkeypatch, 100.0)
    assert commands.source.token() == "t1"
    commands.failing, commands.now = True, commands.now + 90
    assert await AwaitedTokens(commands.source).token() == "t1"
    commands.now += 11
    with pytest.raises(TokenFailed, match="away"):
        commands.source.token()
    with pytest.raises(AuthenticationFailedError, match="away"):
        await AwaitedTokens(commands.source).token()
    commands.failing = False
    assert commands.source.token().startswith("t")


def test_faust_gets_tokens_and_certificates(tmp_path: Path) -> None:
    tokens = SecuritySettings(protocol="SASL_PLAINTEXT", sasl_mechanism="OAUTHBEARER", token_command=("token",))
    assert isinstance(credentials(KafkaSettings(security=tokens)).oauth_cb, AwaitedTokens)
    pair, authority = Authority(tmp_path).sign("worker"), Authority(tmp_path, "other")
    mutual = SecuritySettings(ca=authority.ca, cert=pair.cert, key=pair.key)
    assert isinstance(credentials(KafkaSettings(security=mutual)).context, RenewedContext)


def shown(context: ssl.SSLContext, server: ssl.SSLContext) -> str:
    """The name on the certificate that the client shows to a server."""
    ours, theirs = socket.socketpair()
    found: list[Any] = []

    def serve() -> None:
        with server.wrap_socket(theirs, server_side=True) as connection:
            found.append(connection.getpeercert())
            connection.sendall(b"x")

    thread = threading.Thread(target=serve)
    thread.start()
    with context.wrap_socket(ours, server_hostname="localhost") as connection:
        connection.recv(1)
    thread.join(10)
    return str(dict(each[0] for each in found[0]["subject"])["commonName"])


def test_certificates_are_read_again_and_broken_ones_change_nothing(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    broker, ours = authority.sign("broker"), authority.sign("first", file="ours")
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.ca)
    server.load_cert_chain(broker.cert, broker.key)
    server.verify_mode = ssl.CERT_REQUIRED
    context = RenewedContext(TlsFiles(authority.ca, ours.cert, ours.key))
    assert shown(context, server) == "first"
    authority.sign("second", file="ours")
    assert shown(context, server) == "second"
    ours.cert.write_text("nothing of use")
    assert shown(context, server) == "second"


UNFIT: list[tuple[str, Callable[[Path], TlsFiles], str]] = [
    ("no authority", lambda at: TlsFiles(at / "none.pem"), r"kafka\.security\.ca = .*none\.pem': cannot be used"),
    ("no pair", lambda at: TlsFiles(None, at / "none.pem", at / "none.key"), r"kafka\.security\.cert = .*none\.pem'"),
]


@pytest.mark.parametrize(("name", "files", "expected"), UNFIT)
def test_files_of_no_use_are_named(tmp_path: Path, name: str, files: Callable[[Path], TlsFiles], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        RenewedContext(files(tmp_path))


def test_a_certificate_that_ends_within_a_month_is_found(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    tonight, soon, later = (
        authority.sign(name, days) for name, days in (("tonight", 0.4), ("soon", 29), ("later", 31))
    )
    (found,) = expiring(TlsFiles(authority.ca, tonight.cert, tonight.key))
    assert found.setting == "kafka.security.cert"
    assert "CN=tonight ends within a day" in found.text
    assert "in 29 days" in expiring(TlsFiles(cert=soon.cert))[0].text
    assert expiring(TlsFiles(cert=later.cert)) == expiring(None) == []
    assert "already" in expiring(TlsFiles(cert=soon.cert), datetime.now(UTC) + timedelta(days=40))[0].text


def test_the_doctor_tells_a_month_before_and_refuses_afterwards(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    ended, soon, good = (authority.sign(name, days) for name, days in (("ended", -1), ("soon", 9), ("good", 99)))

    def checked(pair: Any) -> list[tuple[bool, bool]]:
        security = SecuritySettings(ca=authority.ca, cert=pair.cert, key=pair.key)
        return [(each.ok, each.needed) for each in broker_certificates(security)]

    assert [checked(each) for each in (ended, soon, good)] == [[(False, True)], [(False, False)], [(True, True)]]
    (broken,) = broker_certificates(SecuritySettings(ca=written(tmp_path / "x.pem", "no certificate")))
    assert (broken.ok, "x.pem" in broken.detail) == (False, True)
    assert list(broker_certificates(SecuritySettings())) == []
