"""One engine's proofs of effect: what it was asked for each version, and whether it gave it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from msgspec.structs import replace

from serving import metrics
from streams.kinds import ProofOutcome
from streams.proof import Proof, ProofShown

PARTS = 4  # of a proof: an engine that gave it is asked one at a time
WITHOUT = "made before adapters had proofs"


@dataclass(slots=True)
class Proofs:
    """The proofs of the versions that an engine has. A version without one is judged by its fingerprint alone."""

    replica: str
    _expected: dict[str, Proof] = field(default_factory=dict)
    _shown: dict[str, ProofShown] = field(default_factory=dict)
    _turn: int = 0  # of the parts

    def expect(self, version: str, proof: Proof | None, now_ms: int) -> None:
        """Take the proof that came with the version's adapter; None where none did."""
        self._expected.pop(version, None)
        if proof is not None and proof.rows:
            self._expected[version] = proof
        else:
            shown = ProofShown(
                outcome=ProofOutcome.NONE, since_ms=now_ms, reason=proof.impossible if proof else WITHOUT
            )
            self._show(version, shown)

    def asked(self, version: str) -> Proof | None:
        """Return the proof that the engine is to be asked for."""
        return self._expected.get(version)

    def part(self, version: str) -> Proof:
        """Return some of the proof's questions, other ones each time."""
        proof = self._expected[version]
        parts = min(PARTS, len(proof.rows))
        self._turn += 1
        return replace(proof, rows=proof.rows[self._turn % parts :: parts])

    def note(self, version: str, distance: float, now_ms: int) -> None:
        """Note how far the engine's answers are from those expected."""
        proof = self._expected[version]
        held = distance <= proof.tolerance
        reason = "" if held else _reason(proof, distance)
        outcome = ProofOutcome.GIVEN if held else ProofOutcome.FAILED
        apart, most = round(distance, 5), proof.tolerance
        shown = ProofShown(outcome=outcome, since_ms=now_ms, distance=apart, tolerance=most, reason=reason)
        self._show(version, shown)

    def refusal(self, version: str) -> str:
        """Return why the engine does not compute with the version's adapter; empty where it does, or has no proof."""
        shown = self._shown.get(version)
        return shown.reason if shown is not None and shown.outcome == ProofOutcome.FAILED else ""

    def shown(self, versions: Iterable[str]) -> dict[str, ProofShown]:
        """Return what the engine showed for these versions, for the attestation; forget those that no route wants."""
        wanted = set(versions)
        for gone in self._shown.keys() - wanted:
            del self._shown[gone]
            self._expected.pop(gone, None)
            metrics.forget_proof(self.replica, gone)
        return dict(sorted(self._shown.items()))

    def _show(self, version: str, shown: ProofShown) -> None:
        """Keep the first of equal outcomes: a figure that moves by rounding is no news."""
        known = self._shown.get(version)
        if known is None or known.outcome != shown.outcome:
            self._shown[version] = shown
        metrics.show_proof(self.replica, version, failed=shown.outcome == ProofOutcome.FAILED)


def _reason(proof: Proof, distance: float) -> str:
    return (
        f"the engine does not compute with this adapter: its answers to the adapter's proof are {distance:.3g} nats "
        f"from those expected, at most {proof.tolerance:.3g} may be, calculated in {proof.dtype}"
    )
