"""The replicas' health as a gateway sees it: by the age of what they attested, and by its own connections."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from serving.gateway.engines.ejection import Ejection


@dataclass(frozen=True, slots=True)
class ReplicaHealth:
    """The evidence against replicas. `stale`: replicas that no longer attest though the log answers. They are asked
    after all others, for the process that attests may be gone while they are well; not at all while they fail too."""

    ejection: Ejection
    stale: Callable[[], frozenset[str]] = frozenset

    def dead(self) -> frozenset[str]:
        """Return those that neither attest nor answer."""
        return self.stale() & self.ejection.avoided()

    def well(self, replica: str) -> bool:
        """Return whether nothing speaks against it."""
        return replica not in self.stale() and not self.ejection.failing(replica)
