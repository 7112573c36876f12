"""What each role reads and writes: the one table from which access lists are made and against which a role is checked
when it starts."""

from __future__ import annotations

from dataclasses import dataclass

from streams.topics import (
    ALARMS,
    ATTESTATIONS,
    FEEDBACK,
    FEEDBACK_DLQ,
    INFERENCE,
    INFERENCE_DLQ,
    LEDGER,
    REQUESTS,
    RESULTS,
    RESULTS_DLQ,
    REVOCATIONS,
    ROUTES,
    SCORES,
    SCORES_DLQ,
    STATE,
    TOPICS,
    WINDOWS,
    Topic,
)

LETTERS = (INFERENCE_DLQ, FEEDBACK_DLQ, SCORES_DLQ, RESULTS_DLQ)
STEERED = (ROUTES, LEDGER)  # written with each change of a route
CONTROLLED = (ROUTES, LEDGER, ATTESTATIONS)


@dataclass(frozen=True, slots=True)
class RoleNeeds:
    """The topics that a role reads and writes. `grouped`: it reads in the consumer group of the workers; `renews`: it
    may delete that group's offsets."""

    role: str
    reads: tuple[Topic, ...]
    writes: tuple[Topic, ...]
    grouped: bool = False
    renews: bool = False

    @property
    def topics(self) -> list[Topic]:
        """Return each topic once, in the table's order."""
        return [topic for topic in TOPICS if topic in self.reads or topic in self.writes]

    def operations(self, topic: Topic) -> list[str]:
        """Return what the role does with a topic, in Kafka's words.

        >>> NEEDS["worker"].operations(SCORES)
        ['READ', 'WRITE']
        """
        return [*(["READ"] if topic in self.reads else []), *(["WRITE"] if topic in self.writes else [])]


NEEDS: dict[str, RoleNeeds] = {
    each.role: each
    for each in (
        # its shipper and its admin port have its account
        RoleNeeds(
            "gateway",
            (*STEERED, ATTESTATIONS, REVOCATIONS, ALARMS, RESULTS),
            (INFERENCE, FEEDBACK, REVOCATIONS, *STEERED),
        ),
        RoleNeeds(
            "worker",
            (INFERENCE, FEEDBACK, SCORES, RESULTS, STATE, ROUTES, ALARMS),
            (FEEDBACK, SCORES, STATE, WINDOWS, ALARMS, REQUESTS, LEDGER, *LETTERS),
            grouped=True,
        ),
        RoleNeeds("controller", (*CONTROLLED, RESULTS, SCORES), CONTROLLED),
        RoleNeeds("trainer", (REQUESTS, RESULTS, ROUTES, LEDGER), (REQUESTS, RESULTS, LEDGER)),
        RoleNeeds("replica", (ROUTES, ATTESTATIONS), (ATTESTATIONS,)),
        RoleNeeds("renderer", (ALARMS,), ()),
        RoleNeeds("storage", (REQUESTS, RESULTS, ROUTES), (REQUESTS, LEDGER)),
        # people at the command line, who put dead letters back and accept topics that were created again
        RoleNeeds(
            "operator",
            TOPICS,
            (INFERENCE, FEEDBACK, SCORES, RESULTS, REQUESTS, REVOCATIONS, *STEERED),
            grouped=True,
            renews=True,
        ),
    )
}
