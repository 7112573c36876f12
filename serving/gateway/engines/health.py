"""How replicas stand with a gateway now: by the age of what they attested, and by what its own connections show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from serving.gateway.engines.ejection import Ejection

NOBODY: frozenset[str] = frozenset()
NONE_STALE: Callable[[], frozenset[str]] = lambda: NOBODY  # noqa: E731


@dataclass(frozen=True, slots=True)
class Standing:
    """`stale`: replicas that no longer attest though the log answers. They are asked after all others, for whoever
    attests may be gone and they well; not at all while they fail too."""

    ejection: Ejection
    stale: Callable[[], frozenset[str]] = NONE_STALE

    def dead(self) -> frozenset[str]:
        """Those that neither attest nor answer."""
        return self.stale() & self.ejection.avoided()

    def well(self, replica: str) -> bool:
        """Whether there is nothing against it."""
        return replica not in self.stale() and not self.ejection.failing(replica)
