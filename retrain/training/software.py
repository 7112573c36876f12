"""The software that an adapter is made by: the commit of this program, and its packages' versions."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
from functools import cache
from pathlib import Path

COMMIT = "HOMEOSTAT_COMMIT"  # of an image without a repository: its builder sets it
PACKAGES = ("homeostat", "torch", "transformers", "peft", "bitsandbytes", "trl", "vllm")
CHANGED = "+changed"  # after a commit: files differ from it
PATIENCE_S = 5.0


@cache
def software() -> dict[str, str]:
    """Return the commit, where it is known, and the version of each package that is installed, by name."""
    found = {name: version for name in PACKAGES if (version := _version(name))}
    commit = os.environ.get(COMMIT) or _commit(Path(__file__).parents[2])
    return {**({"git_commit": commit} if commit else {}), **found}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _commit(folder: Path) -> str:
    """Return the commit of the repository that the folder is the top of; empty where it is none."""
    if not (folder / ".git").exists():
        return ""
    head = _git(folder, "rev-parse", "HEAD")
    return head + (CHANGED if head and _git(folder, "status", "--porcelain", "--untracked-files=no") else "")


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
