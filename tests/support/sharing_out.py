"""How tests are shared out among processes: a file at a time, and all files that need vLLM's memory to one process.

pytest-xdist has groups for this (`--dist loadgroup`); its release of today sets none under the pytest of today."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

LARGE = frozenset(
    {
        "tests/deploy/stack/test_engine.py",
        "tests/e2e/test_loop.py",
        "tests/retrain/evaluation/test_evaluate.py",
        "tests/serving/gateway/openai/test_engine_sense.py",
        "tests/serving/real/test_engine.py",
        "tests/serving/real/test_probe.py",
        "tests/serving/real/test_proof.py",
    }
)


class FileScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """xdist's scheduling by scopes, where a scope is a file, or all the large ones."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "large" if file in LARGE else file


def check_large(file: str) -> None:
    """Raise ValueError where a file with a test that needs vLLM is not listed."""
    if file not in LARGE:
        raise ValueError(f"{file}: a test needs vLLM, expected the file in {__name__}.LARGE")
