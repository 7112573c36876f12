"""The files of one call, in a private folder that ends with it: those that were sent, and those that go back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath

from deploy.admin.table import BACK, Kind, Remote
from deploy.admin.wire import CHUNK, SEGMENT, OutputPiece, inside
from serving.gateway.errors import ApiError, cut

MOST_FILES = 200  # of one call


@dataclass(slots=True)
class Workspace:
    """Names for the files of a call. The names of the server are of its own making: of the caller's only the last part
    is taken, where it is plain, for commands look at endings and repeat names."""

    home: Path
    remote: Remote
    shown: dict[Path, str] = field(default_factory=dict)  # each file or folder, as the caller knows it
    sent: dict[str, list[Path]] = field(default_factory=dict)
    back: dict[str, Path] = field(default_factory=dict)
    arrived: set[Path] = field(default_factory=set)

    def place(self, name: str, known_as: str) -> Path:
        """Return a new path for a file or folder of the parameter, which the caller knows by another."""
        kind = self.remote.kinds[name]
        last = PurePosixPath(PureWindowsPath(known_as).as_posix()).name
        path = self.home / str(len(self.shown)) / (last if SEGMENT.fullmatch(last) else name)
        path.parent.mkdir(mode=0o700)
        if kind is Kind.FOLDER:
            path.mkdir(mode=0o700)
        self.shown[path] = known_as
        if kind in BACK:
            self.back[name] = path
        else:
            self.sent.setdefault(name, []).append(path)
        return path

    def arriving(self, name: str, filename: str) -> Path:
        """Return where a part goes: into its parameter's folder, or to the next file of it. Raise ApiError for a part
        that the call does not name."""
        kind = self.remote.kinds.get(name, Kind.VALUE)
        free = [path for path in self.sent.get(name, []) if path not in self.arrived]
        if not free or len(self.arrived) >= MOST_FILES:
            raise ApiError(400, f"part {cut(name)!r} is one more than the call names, or of none", cut(name))
        if kind is not Kind.FOLDER:
            self.arrived.add(free[0])
            return free[0]
        if not inside(filename):
            message = f"part {name!r}: the file's name is {cut(filename)!r}, expected one inside the folder"
            raise ApiError(400, message, name)
        path = free[0] / filename
        if path.exists() or len(list(free[0].rglob("*"))) >= MOST_FILES:
            raise ApiError(400, f"part {name!r}: {cut(filename)!r} comes twice, or after {MOST_FILES} others", name)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return path

    def complete(self) -> None:
        """Raise ApiError where a file that the call names has not come."""
        for name, paths in self.sent.items():
            for path in paths:
                come = any(path.iterdir()) if path.is_dir() else path in self.arrived
                if not come:
                    raise ApiError(400, f"{name} is missing, expected a part of the form with the file", name)

    def as_known(self, text: str) -> str:
        """Return a command's output with the caller's names of files."""
        for path, known_as in self.shown.items():
            text = text.replace(str(path), known_as)
        return text

    def pieces(self) -> Iterator[OutputPiece]:
        """Yield the files that go back; a link in a folder is none."""
        for name, root in self.back.items():
            paths = sorted(root.rglob("*")) if root.is_dir() else [root]
            for path in paths:
                if path.is_file() and not path.is_symlink():
                    yield from _pieces(name, path, path.relative_to(root).as_posix() if path != root else "")


def _pieces(name: str, path: Path, within: str) -> Iterator[OutputPiece]:
    with path.open("rb") as file:
        data = file.read(CHUNK)
        yield OutputPiece(file=name, path=within, data=data)
        while data := file.read(CHUNK):
            yield OutputPiece(file=name, path=within, data=data)
