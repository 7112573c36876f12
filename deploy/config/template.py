"""`homeostat.toml` with every setting in it: its comment, and its default as the value."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import MISSING

from deploy.config.reference import Section, Setting, named, sections
from deploy.config.toml import literal

WIDTH = 100
HEAD = """\
# Every setting of Homeostat with its default. A file needs only what differs.
# Each can be overridden by the environment: HOMEOSTAT__SECTION__KEY, e.g. HOMEOSTAT__GATEWAY__MAX_IN_FLIGHT=64.
# A line "# key =" has no value, or follows another setting."""


def template() -> str:
    """Return the file; read back it gives the defaults."""
    tables = ["\n".join(_table(each)) for each in sections()]
    return "\n\n".join([HEAD, *tables, *("\n".join(_named(each)) for each in named())]) + "\n"


def _table(section: Section) -> Iterator[str]:
    yield from _comment(section.about)
    yield f"[{section.name}]"
    for setting in section.settings:
        yield from _comment(setting.about)
        yield _line(setting)


def _named(section: Section) -> Iterator[str]:
    """A table that is there once an operator names one."""
    yield from _comment(section.about)
    yield f"# [{section.name}]"
    for setting in section.settings:
        yield from _comment(setting.about)
        known = setting.default not in (None, MISSING)
        yield f"# {setting.name} = {literal(setting.default)}" if known else f"# {setting.name} ="


def _line(setting: Setting) -> str:
    if setting.default is None:
        return f"# {setting.name} ="
    line = f"{setting.name} = {literal(setting.default)}"
    return f"# {line}  # follows {setting.decided_by}" if setting.decided_by else line


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, WIDTH)]
