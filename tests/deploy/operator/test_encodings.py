"""Files that people write, as editors save them: with a mark of UTF-8, with other line ends, in another encoding."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.config.parse import read_toml
from deploy.operator import rows
from deploy.operator.labels import wanted as labelling
from retrain.training import recipe
from serving.gateway.access import keys

DIGEST = "0" * 64
LABELS = '{"id": "1", "question": "q", "answer": "a"}\n\n{"id": "2", "question": "", "answer": "", "label": "ä"}\n'
FILES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "configuration": ("[stack]\nvar = 'ä'\n", read_toml),
    "labels": (LABELS, lambda path: list(labelling._rows(path))),
    "rows": ('{"text": "ä", "label": "b"}\n\n{"text": "c", "label": "d"}\n', rows.read_file),
    "keys": (f'[app]\nsha256 = "{DIGEST}"\n# ä\n', keys.read),
    "recipe": (recipe.SMALL.read_text() + "# ä\n", recipe.load),
}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize(("mark", "ending"), [(b"\xef\xbb\xbf", "\n"), (b"", "\r\n"), (b"\xef\xbb\xbf", "\r\n")])
def test_what_editors_leave_in_a_file_changes_nothing(tmp_path: Path, kind: str, mark: bytes, ending: str) -> None:
    content, read = FILES[kind]
    plain, edited = tmp_path / "plain", tmp_path / "edited"
    plain.write_bytes(content.encode())
    edited.write_bytes(mark + content.replace("\n", ending).encode())
    assert read(edited) == read(plain)


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "latin-1"])
def test_another_encoding_is_told_with_the_file_and_what_to_do(tmp_path: Path, kind: str, encoding: str) -> None:
    content, read = FILES[kind]
    path = tmp_path / "file"
    path.write_bytes(("\ufeff" if encoding == "utf-16-be" else "").encode(encoding) + content.encode(encoding))
    with pytest.raises(ValueError, match=r"UTF-8: save it as UTF-8|save the file as UTF-8") as raised:
        read(path)
    assert str(path) in str(raised.value)
