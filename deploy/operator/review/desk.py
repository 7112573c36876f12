"""The desk of reviewers: what each is shown next, and what becomes of the answers.

A person is a key with the scope `review`; every answer is theirs by name. The work needs the lake and the log, so it
takes a second or so, and the gateway's admin port does it aside."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from deploy.config import secrets
from deploy.config.settings import Config
from streams import codec, ledger
from streams.clock import now_ms
from streams.events import DecisionRecorded, FeedbackGiven, RetrainReported
from streams.log.append import Appender
from streams.log.read import read
from streams.topics import FEEDBACK, LEDGER, RESULTS

if TYPE_CHECKING:
    from deploy.operator.labels.wanted import LabelRules
    from deploy.operator.review.answers import ReviewAnswer
    from deploy.operator.review.candidates import WaitingCandidate
    from deploy.operator.review.comparisons import BlindPair, Choice, Preference
    from deploy.operator.review.queue import ReviewItem
    from streams.lake.lake import Lake


class Taken(NamedTuple):
    """What became of answers: feedback, and how many were spot checks."""

    events: list[FeedbackGiven]
    checks: list[DecisionRecorded]


@dataclass(frozen=True, slots=True)
class ReviewDesk:
    """The desk of one installation."""

    config: Config

    def queue(self, alias: str) -> list[ReviewItem]:
        """List the alias's queue, since `labels.wait_s`."""
        from deploy.operator.review.queue import queue

        return queue(self.config.kafka, self._lake(), alias, self._since_ms())

    def next(self, alias: str, by: str, skip: Collection[str] = ()) -> ReviewItem | None:
        """Return what this person looks at next, without its reasons, which could tell what it is: of the queue, or
        now and then a reply that others have labelled. None where nothing is left. `skip`: replies that they have just
        answered, which the lake may not have yet."""
        from msgspec.structs import replace

        from deploy.operator.review import overlap, turns
        from deploy.operator.review.queue import items

        lake = self._lake()
        labelled = overlap.labels(lake, alias, self._since_ms(), reviewers=True)
        checked = overlap.checked(self._decisions(), alias, by)
        mine = overlap.answered(lake, alias, self._since_ms(), by) | checked | {*skip}
        waiting = [each.id for each in self.queue(alias) if each.id not in mine]
        share = self.config.labels.overlap_share
        id = turns.next_id(waiting, turns.shared(labelled, mine), share, f"{by}/{len(mine)}")
        shown = next(items(lake, alias, [id]), None) if id else None
        return replace(shown, why=[]) if shown else None

    def take(self, alias: str, answers: Sequence[ReviewAnswer], by: str) -> Taken:
        """Take answers of the person with this key: feedback, but for spot checks. Raise ValueError, before anything is
        sent, where one is about no reply of the lake."""
        from deploy.operator.review import overlap
        from deploy.operator.review.answers import given

        lake, rules = self._lake(), self._rules(alias)
        events = given(lake, alias, answers, by, rules)
        labelled = overlap.labels(lake, alias, self._since_ms(), reviewers=True)
        known = {who: overlap.known_answers(labelled, who) for who in {each.by for each in events}}
        taken = Taken([], [])
        for each in events:
            truth, text = known[each.by].get(each.event_id), each.label or each.correction
            if truth is None or text is None:
                taken.events.append(each)
            else:
                taken.checks.append(overlap.check(each, truth))
        self._send(taken)
        return taken

    def pairs(self, alias: str, by: str) -> Iterator[BlindPair]:
        """Yield pairs of answers that the person has not compared yet."""
        from deploy.operator.review import comparisons

        known = comparisons.preferences(self._decisions(), alias)
        done = [found.pair for who, found in known if who == by]
        return comparisons.pairs(self._lake(), alias, self._since_ms(), by, done)

    def prefer(self, alias: str, pair: str, choice: Choice, by: str) -> Preference:
        """Record which answer of a pair the person prefers. Raise LookupError where there is no such pair."""
        from deploy.operator.review import comparisons

        found = comparisons.preference(self._lake(), alias, pair, choice, by)
        self._send(Taken([], [comparisons.recorded(alias, found, by, now_ms())]))
        return found

    def figures(self, alias: str) -> Iterator[str]:
        """Yield how far reviewers agree, their hits in spot checks, and the preferences, for people."""
        from deploy.operator.review import comparisons, overlap

        decisions = self._decisions()
        yield from overlap.agreement(overlap.labels(self._lake(), alias, self._since_ms())).lines()
        yield from (each.line() for each in overlap.spot_checks(decisions, alias))
        yield from (
            each.line() for each in comparisons.tallies(p for _, p in comparisons.preferences(decisions, alias))
        )

    def candidates(self) -> list[WaitingCandidate]:
        """List the candidates that wait for people's approval."""
        from deploy.operator.review.candidates import waiting
        from serving.rollout.approvals import ApprovalRule

        kafka, policy = self.config.kafka, self.config.policy
        reports = (record.event for record in read(kafka, RESULTS, RetrainReported))
        rule = ApprovalRule(policy.people, policy.approval_timeout_s)
        return waiting(reports, self._decisions(), rule, now_ms(), trials=policy.trial.allowed)

    def _decisions(self) -> list[DecisionRecorded]:
        """Return people's decisions and rollouts' steps; others may hold a whole reference, and are not decoded."""
        marks = (b'"kind":"operator"', b'"function":"rollout.step"')
        values = (value for _, value in ledger.records(self.config.kafka) if any(mark in value for mark in marks))
        return ledger.once(codec.decode(DecisionRecorded, value) for value in values)

    def _send(self, taken: Taken) -> None:
        if not taken.events and not taken.checks:
            return
        with closing(Appender(self.config.kafka, "homeostat/review")) as appender:
            for decision in taken.checks:
                appender.append(LEDGER, decision, id=decision.id, time_ms=decision.time_ms)
            for event in taken.events:
                appender.append(FEEDBACK, event, id=event.id, time_ms=event.time_ms)

    def _lake(self) -> Lake:
        from streams.lake.lake import Lake

        return Lake.of(self.config.kept)

    def _since_ms(self) -> int:
        return now_ms() - 1_000 * self.config.labels.wait_s

    def _rules(self, alias: str) -> LabelRules:
        from deploy.operator.labels.wanted import LabelRules
        from serving.gateway.masking import Maskers
        from streams.scoring.scorer import Scorer

        config = self.config
        scorer = Scorer.of(config.scoring.given(alias), alias, config.stack.var)
        signer = secrets.signer(config)
        return LabelRules(scorer, Maskers(config.gateway.mask, signer.tenant_key), signer, config.labels.sources)
