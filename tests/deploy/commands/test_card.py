"""`homeostat card`: what a retraining has kept, and a clear line where it kept nothing."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from deploy.cli import main
from deploy.config.toml import dump
from streams.objects import store as objects
from tests.support.folder import in_folder

VERSION = "support-0123456789ab"


def test_a_card_is_shown_and_written_and_a_missing_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "homeostat.toml").write_text(dump({"stack": {"var": str(tmp_path)}}))
    given = ["--config", str(tmp_path / "homeostat.toml")]
    store = in_folder(tmp_path).store
    for name, text in (("README.md", "# it"), ("card.json", "{}"), ("index.html", "<p>")):
        objects.replace(store, f"cards/{VERSION}/{name}", text.encode())
    page = tmp_path / "card.html"
    shown = CliRunner().invoke(main, ["card", VERSION, "--page", str(page), *given])
    assert (shown.exit_code, shown.output, page.read_text()) == (0, "# it\n", "<p>")
    assert CliRunner().invoke(main, ["card", VERSION, "--json", *given]).output == "{}\n"
    missing = CliRunner().invoke(main, ["card", "support-ffffffffffff", *given])
    assert missing.exit_code == 1
    assert f"has no model card; a retraining writes one for its candidate. There are: {VERSION}" in missing.output
