"""Writes the generated documents: `python -m tests.docs`."""

from __future__ import annotations

from tests.docs.generated import DOCUMENTS

for path, make in DOCUMENTS.items():
    path.write_text(make())
