"""Check names, docstrings, modules and folders: `python -m tests.house [--figures] [ROOM ...]`, a line a breach."""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("dashboards", "deploy", "monitor", "retrain", "serving", "streams")
WIDEST, LONGEST_MODULE, LONGEST_FUNCTION = 15, 300, 50  # modules in a folder; lines; lines
DOCUMENTED = 0.8  # share of a room's public functions that have a docstring; at least
SEVERAL = {"State"}  # class names that may stand for several classes: each detector and each signal has its own
LONGER = {"deploy/demo/world/intents.py": "a table: the demo's intents, each with its sentences"}  # module -> why
BANNED_WORDS = "told said word hear heard lately anew whoever somebody nobody beside"
BANNED = frozenset(BANNED_WORDS.split())
SUSPECT = re.compile("|".join(BANNED), re.IGNORECASE)  # a quick look first: the check takes a second or two
PARTLY = re.compile(r"msgspec\.(MsgspecError|DecodeError)")  # nothing nested too deeply, no broken UTF-8
ABOUT_WORDS = ("monitor/describe/", "monitor/metrics.py")  # where the words of a reply are meant
# Names that are data: in the judge's memory and in the ledger, which older records must go on fitting.
WIRE_NAMES = {"monitor/watch/record.py": {"lately", "told"}, "monitor/judge.py": {"said"}}
VERB_LIST = """
Accept Acknowledge Add Admit Advance Allow Answer Append Apply Ask Assign Balance Begin Block Bound Bring Build
Calculate Call Cap Carry Change Check Choose Claim Clear Close Collect Combine Commit Compare Complete Compute Confirm
Connect Continue Convert Copy Count Create Cut Decide Decode Delete Deliver Derive Describe Discard Divide Do Download
Draw Drop Encode End Ensure Estimate Evaluate Examine Exit Expect Explain Export Extend Fail Fetch Fill Filter Find
Finish Fit Flush Follow Force Forget Format Forward Free Freeze Give Go Group Guard Hand Handle Hash Hold Ignore
Import Issue Join Judge Keep Leave Let Limit Link List Listen Load Lock Log Look Lower Make Map Mark Mask Match
Measure Merge Mirror Move Name Normalise Note Notice Observe Offer Open Order Parse Pass Pause Pick Place Plan Prepare
Print Probe Produce Promote Propose Prove Publish Push Put Queue Raise Rank Read Rebuild Receive Recognise Reconcile
Record Refuse Register Reject Release Reload Remember Remove Render Renew Repeat Replace Replay Report Request Require
Reset Resolve Restore Resume Return Roll Round Run Sample Save Scale Scan Score See Seek Select Send Serve Set Ship
Show Shut Sign Sketch Skip Sleep Sort Split Spread Start State Stay Step Stop Store Strip Sum Summarise Switch Take
Tell Test Throw Time Track Train Translate Trim Try Tune Turn Unload Unpack Update Use Validate Verify Wait Wake Walk
Warm Warn Watch Withdraw Work Wrap Write Yield
"""
VERBS = frozenset(VERB_LIST.split())
Function = ast.FunctionDef | ast.AsyncFunctionDef
NAMED = Function | ast.Module | ast.ClassDef | ast.arg | ast.Name | ast.Attribute | ast.alias | ast.ExceptHandler


@dataclass(frozen=True, slots=True, order=True)
class Breach:
    """Where something is not as it must be, what, and what to do."""

    path: str
    line: int
    text: str

    @property
    def room(self) -> str:
        return self.path.partition("/")[0]


class Source:
    """One module, read and walked once."""

    def __init__(self, path: str, text: str) -> None:
        self.path, self.name = path, path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        self.lines, tree = text.count("\n"), ast.parse(text)
        self.nodes = [node for node in ast.walk(tree) if isinstance(node, NAMED)]
        self.functions = [node for node in self.nodes if isinstance(node, Function)]
        self.classes = [node for node in self.nodes if isinstance(node, ast.ClassDef)]
        self.handlers = [node for node in self.nodes if isinstance(node, ast.ExceptHandler)]
        self.imports = set(imported(tree))
        members = [*tree.body, *(node for each in tree.body if isinstance(each, ast.ClassDef) for node in each.body)]
        self.public = [node for node in members if isinstance(node, Function) and is_public(node)]


def is_public(node: Function) -> bool:
    """Check that others call it. A property is a value: its docstring names the thing."""
    return not node.name.startswith("_") and not any("property" in ast.unparse(each) for each in node.decorator_list)


def imported(node: ast.AST) -> Iterator[str]:
    """Yield what is imported outside functions, types included; of `from a import b` both a and a.b."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
    elif isinstance(node, ast.Module | ast.If | ast.Try | ast.ClassDef):
        for each in ast.iter_child_nodes(node):
            yield from imported(each)


def read(root: Path = ROOT) -> list[Source]:
    """Return the modules of all rooms."""
    paths = sorted(path for room in ROOMS for path in (root / room).rglob("*.py"))
    return [Source(path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")) for path in paths]


def length(node: Function) -> int:
    """Return a function's lines."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def verb_first(node: Function) -> bool:
    """Check that the docstring's first word is a verb in the imperative."""
    return ((ast.get_docstring(node) or "-").split()[0].strip(".,:;")) in VERBS


def widths(sources: Sequence[Source]) -> Counter[str]:
    """Count the modules of each folder, its `__init__` aside."""
    return Counter(str(Path(each.path).parent) for each in sources if not each.path.endswith("/__init__.py"))


def several(sources: Sequence[Source]) -> dict[str, list[tuple[Source, int]]]:
    """Return the class names that stand for several classes, with the places of these."""
    places: defaultdict[str, list[tuple[Source, int]]] = defaultdict(list)
    for each in sources:
        for node in each.classes:
            places[node.name].append((each, node.lineno))
    return {name: found for name, found in places.items() if len(found) > 1 and name not in SEVERAL}


def in_circles(sources: Sequence[Source]) -> list[Source]:
    """Return the modules that their own imports lead back to."""
    arrows = {each.name: each.imports - {each.name} for each in sources}
    found = []
    for each in sources:
        reached, ahead = set[str](), [*arrows[each.name]]
        while ahead:
            if (name := ahead.pop()) in arrows and name not in reached:
                reached.add(name)
                ahead += arrows[name]
        found += [each] if each.name in reached else []
    return found


def given_name(node: ast.AST) -> str:
    """Return the name that a node gives to something; empty where it gives none."""
    if isinstance(node, ast.Name | ast.Attribute) and not isinstance(node.ctx, ast.Store):
        return ""
    keys = ("asname",) if isinstance(node, ast.alias) else ("name", "id", "attr", "arg")
    return str(next((name for key in keys if (name := getattr(node, key, None))), ""))


def banned(source: Source) -> Iterator[Breach]:
    """Yield the names and docstrings that hold a word of BANNED."""
    words = BANNED - {"word"} if source.path.startswith(ABOUT_WORDS) else BANNED
    data = WIRE_NAMES.get(source.path, set())
    for node in source.nodes:
        name = given_name(node)
        if name in data:
            continue
        parts = {part.lower() for part in re.findall("[A-Z]?[a-z]+", name)} if SUSPECT.search(name) else set()
        for part in sorted(words & parts):
            yield Breach(source.path, getattr(node, "lineno", 1), f'name {name} has "{part}": name the thing')
        if isinstance(node, ast.Module | ast.ClassDef | Function) and (prose := ast.get_docstring(node)):
            for part in sorted(words & set(re.findall("[a-z]+", prose.lower()))):
                yield Breach(
                    source.path, node.body[0].lineno, f'docstring has "{part}": name the actor, say what it does'
                )


def breaches(sources: Sequence[Source]) -> Iterator[Breach]:
    """Yield everything that is not as it must be."""
    for name, places in several(sources).items():
        where = ", ".join(f"{each.path}:{line}" for each, line in places)
        for each, line in places:
            yield Breach(each.path, line, f"class {name} stands for several classes: rename it ({where})")
    for each in in_circles(sources):
        yield Breach(each.path, 1, "its imports lead back to it: move what both need into a module of its own")
    for folder, count in widths(sources).items():
        if count > WIDEST:
            yield Breach(folder, 1, f"{count} modules, at most {WIDEST}: give some a folder of their own")
    for room in ROOMS:
        public = [node for each in sources if each.path.startswith(f"{room}/") for node in each.public]
        bare = sum(ast.get_docstring(node) is None for node in public)
        if bare > (1 - DOCUMENTED) * len(public):
            yield Breach(room, 1, f"{bare} of {len(public)} public functions have no docstring: write some")
    for each in sources:
        yield from banned(each)
        if each.lines > LONGEST_MODULE and each.path not in LONGER:
            yield Breach(each.path, 1, f"{each.lines} lines, at most {LONGEST_MODULE}: split it by subject")
        for node in each.functions:
            if length(node) > LONGEST_FUNCTION:
                text = f"{node.name} has {length(node)} lines, at most {LONGEST_FUNCTION}: split it"
                yield Breach(each.path, node.lineno, text)
        for node in each.public:
            if ast.get_docstring(node) and not verb_first(node):
                text = f"docstring of {node.name}: begin with a verb of VERBS (Return, Take, Send, ...)"
                yield Breach(each.path, node.lineno, text)
        for handler in each.handlers:
            if handler.type is not None and PARTLY.search(ast.unparse(handler.type)):
                text = "catches part of what JSON may raise: catch UNREADABLE of monitor.canonical"
                yield Breach(each.path, handler.lineno, text)


def figures(sources: Sequence[Source]) -> str:
    """Return the table of what the check bounds."""
    public = [node for each in sources for node in each.public]
    folder, width = max(widths(sources).items(), key=lambda item: item[1])
    longest = max(sources, key=lambda each: each.lines)
    lines, where = max((length(node), f"{each.path}::{node.name}") for each in sources for node in each.functions)
    rows = (
        (f"widest folder, modules ({folder})", width),
        ("files in circles, types included", len(in_circles(sources))),
        ("class names that stand for several classes", len(several(sources))),
        ("public functions whose docstring begins with a verb", f"{sum(map(verb_first, public)) / len(public):.0%}"),
        (f"longest module, lines ({longest.path})", longest.lines),
        (f"longest function, lines ({where})", lines),
        ("README lines", len((ROOT / "README.md").read_text(encoding="utf-8").splitlines())),
        ("documents", len([*ROOT.glob("docs/**/*.md"), *ROOT.glob("CONTRIBUTING.md")])),
        ("modules / lines", f"{len(sources)} / {sum(each.lines for each in sources)}"),
    )
    return "\n".join(["| | now |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the breaches of the rooms, or the figures; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.house", description=__doc__)
    parser.add_argument("rooms", nargs="*", metavar="ROOM", help=f"of {', '.join(ROOMS)}; all, if none is named")
    parser.add_argument("--figures", action="store_true", help="print a table of what the check bounds")
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.rooms) - set(ROOMS):
        parser.error(f"no room is called {', '.join(sorted(unknown))}; expected some of {', '.join(ROOMS)}")
    sources = read()
    if chosen.figures:
        print(figures([each for each in sources if not chosen.rooms or each.path.partition("/")[0] in chosen.rooms]))
        return 0
    found = sorted(each for each in breaches(sources) if not chosen.rooms or each.room in chosen.rooms)
    for each in found:
        print(f"{each.path}:{each.line}: {each.text}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
