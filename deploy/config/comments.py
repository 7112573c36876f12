"""The comments of a class's fields: what a setting does is written once, where the setting is."""

from __future__ import annotations

import ast
import inspect
import io
import re
import textwrap
import tokenize

SENTENCES = re.compile(r"`(\w+)`: (.*?)\.?(?=\s+`\w+`: |\Z)", re.DOTALL)


def comments(kind: type) -> dict[str, str]:
    """Return the comment of each field that has one: at the field's own lines, in lines of its own above it, or in the
    docstring as "`field`: what it is."

    >>> comments(tokenize.TokenInfo), comments(ast.AST)
    ({}, {})
    """
    try:
        source = textwrap.dedent(inspect.getsource(kind))
    except (OSError, TypeError):  # a class without a source file
        return {}
    trailing, alone = _written(source)
    (node,) = ast.parse(source).body
    found = {name: _one_line(text) for name, text in SENTENCES.findall(inspect.getdoc(kind) or "")}
    for field in node.body if isinstance(node, ast.ClassDef) else []:
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            lines = [trailing[at] for at in range(field.lineno, (field.end_lineno or 0) + 1) if at in trailing]
            if text := " ".join([*_above(alone, field.lineno), *lines]):
                found[field.target.id] = text
    return found


def about(kind: type) -> str:
    """Return the docstring of a class on one line, without what it says of single fields."""
    return _one_line(SENTENCES.sub("", inspect.getdoc(kind) or ""))


def _written(source: str) -> tuple[dict[int, str], dict[int, str]]:
    """The comments by line: those behind code, and those alone on their line."""
    trailing: dict[int, str] = {}
    alone: dict[int, str] = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            place = trailing if token.line[: token.start[1]].strip() else alone
            place[token.start[0]] = token.string.lstrip("# ").strip()
    return trailing, alone


def _above(alone: dict[int, str], line: int) -> list[str]:
    first = line
    while first - 1 in alone:
        first -= 1
    return [alone[at] for at in range(first, line)]


def _one_line(text: str) -> str:
    return " ".join(text.split())
