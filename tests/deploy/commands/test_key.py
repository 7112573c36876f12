"""`homeostat key`: what it prints is what gateways read."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from deploy.cli import main
from serving.gateway.access.keys import digest, read


def test_a_key_for_an_alias_and_a_tenant_reads_back(tmp_path: Path) -> None:
    asked = ["key", "app", "--alias", "support", "--alias", "sales", "--tenant", "acme", "--tag", "language=de"]
    done = CliRunner().invoke(main, [*asked, "--max-in-flight", "3"])
    assert done.exit_code == 0, done.output
    shown, _, entry = done.stdout.partition("\n\n")
    path = tmp_path / "keys.toml"
    path.write_text(entry)
    (key,) = read(path)
    assert key.sha256 == digest(shown.removeprefix("key: "))
    assert (key.aliases, key.tenants, key.max_in_flight) == (("support", "sales"), ("acme",), 3)
    assert key.tags == {"tenant": "acme", "language": "de"}


def test_a_tenant_is_named_once() -> None:
    done = CliRunner().invoke(main, ["key", "app", "--tenant", "acme", "--tag", "tenant=other"])
    assert done.exit_code == 2
    assert "expected one of --tag tenant=... and --tenant" in done.output
