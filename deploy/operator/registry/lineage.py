"""The lineage of a reply or a version, and its picture on a terminal."""

from __future__ import annotations

from rich.tree import Tree

from deploy.config.settings import Config
from deploy.show.times import clock
from retrain.registry.lineage import LineageNode, lineage
from streams.events import Json
from streams.identity import VERSION
from streams.lake.lake import Lake
from streams.topics import INFERENCE

PATIENCE_S = 5.0  # with a bucket
REPLY = ("id", "time_ms", "alias", "version", "arm", "assigned", "replica", "client")
SHORT = 16  # characters of a digest on a terminal


def traced(config: Config, name: str, *, with_ids: bool = False) -> LineageNode:
    """Return where a version, or the reply of a request id, comes from. Raise LookupError where it is neither."""
    trees = config.kept.trees(PATIENCE_S)
    if VERSION.fullmatch(name):
        return lineage(trees, name, with_ids=with_ids)
    id, *rest = name.split(".")
    for part in Lake.of(config.kept).by_ids(INFERENCE, [id], columns=REPLY):
        (row, *_) = part.to_pylist()
        about = {key: str(value) for key, value in row.items() if value and key not in ("id", "time_ms")}
        about["time"] = clock(row["time_ms"])
        came = [lineage(trees, row["version"], with_ids=with_ids)]
        return LineageNode(kind="reply", name=id, about=about, origins=came)
    if rest and VERSION.fullmatch(rest[0]):
        note = "not in the lake (not yet, or no longer); the version is as the request id says, unchecked"
        came = [lineage(trees, rest[0], with_ids=with_ids)]
        return LineageNode(kind="reply", name=id, about={"version": rest[0], "note": note}, origins=came)
    raise LookupError(
        f"{name}: the lake has no such reply; expected a VERSION, or the value of a reply's x-homeostat-request-id "
        "header. Replies come into the lake some seconds after they were given"
    )


def drawn(node: LineageNode) -> Tree:
    """Draw the node with all that it comes from."""
    tree = Tree(_line(node))
    for each in node.origins:
        tree.children.append(drawn(each))
    return tree


def _line(node: LineageNode) -> str:
    from rich.markup import escape

    about = ", ".join(f"{name} {_shown(name, value)}" for name, value in node.about.items())
    return f"[bold]{node.kind}[/] {escape(node.name)}" + (f"  {escape(about)}" if about else "")


def _shown(name: str, value: Json) -> str:
    if name == "since_ms":
        return clock(value) if value else "the beginning"
    return str(value)[:SHORT] if name == "digest" else str(value)
