from __future__ import annotations

import numpy as np

from deploy.backtest.harms import HarmPeriod, Labels
from deploy.backtest.measures import Cost, Measures, measure
from deploy.backtest.observed import Facts
from deploy.backtest.outcome import PolicyOutcome, RaisedAlarm, RequestedLabels, RequestedRetraining

HARM = HarmPeriod(version="v1", onset_ms=100_000, end_ms=200_000, loss=0.5, usual_loss=0.05, labels=50)
SECONDS = 1_000 * np.arange(300)
FACTS = Facts(
    {"v1": SECONDS},
    {
        "v1": Labels(
            SECONDS[::2], ((SECONDS[::2] >= 100_000) & (SECONDS[::2] < 200_000) & (SECONDS[::2] % 4_000 == 0)) * 1
        )
    },
    {"v1": SECONDS[::2] + 5_000},
)


def alarm(kind: str, onset_ms: int, time_ms: int, version: str = "v1") -> RaisedAlarm:
    return RaisedAlarm(
        kind=kind,
        severity="critical",
        version=version,
        raised_ms=time_ms + 5_000,
        time_ms=time_ms,
        onset_ms=onset_ms,
        last_event=f"{time_ms}",
        summary="",
    )


def asked(since_ms: int, time_ms: int, version: str = "v1") -> RequestedRetraining:
    id = f"{time_ms}"
    return RequestedRetraining(
        request_id=id, version=version, time_ms=time_ms, since_ms=since_ms, attempt=1, fresh_labels=1, reason=""
    )


def measured(outcome: PolicyOutcome, minutes: float | None = None) -> Measures:
    return measure(outcome, FACTS, [HARM], minutes)


def cost(outcome: PolicyOutcome) -> Cost:
    return measured(outcome).costs[0]


def test_a_harm_costs_the_wrong_answers_until_a_retraining_is_asked_for() -> None:
    found = cost(PolicyOutcome(alarms=[alarm("quality", 101_000, 110_000)], retrainings=[asked(101_000, 139_000)]))
    assert (found.found, found.found_after_s, found.asked_after_s) == ("quality", 15.0, 39.0)
    assert (found.replies, found.labelled, found.labelled_loss) == (40, 20, 10)
    assert found.loss == 20.0
    assert found.found_after_replies == 16
    assert found.labels_used == 20, "of those that came in the time, whichever answers they are about"


def test_never_asked_it_costs_all_of_the_harm() -> None:
    found = cost(PolicyOutcome())
    assert (found.found, found.asked_after_s, found.asked_before) == (None, None, False)
    assert (found.replies, found.labelled, found.labelled_loss) == (101, 51, 25)


def test_asked_after_the_harm_it_costs_no_more_than_all_of_it() -> None:
    late = PolicyOutcome(alarms=[alarm("quality", 150_000, 199_000)], retrainings=[asked(150_000, 290_000)])
    assert cost(late).loss == cost(PolicyOutcome()).loss
    assert cost(late).asked_after_s == 190.0


def test_estimated_harm_counts_as_found_but_not_as_proven() -> None:
    found = cost(
        PolicyOutcome(alarms=[alarm("estimated_quality", 100_000, 105_000), alarm("quality", 100_000, 120_000)])
    )
    assert (found.found, found.found_after_s, found.proven_after_s) == ("estimated_quality", 10.0, 25.0)


def test_what_says_harm_where_there_is_none_is_a_false_page() -> None:
    before, other = alarm("quality", 50_000, 90_000), alarm("estimated_quality", 110_000, 120_000, "v2")
    harmless = [alarm("drift", 10_000, 20_000), alarm("latency", 10_000, 20_000)]
    found = measured(
        PolicyOutcome(
            alarms=[before, other, alarm("quality", 99_000, 150_000), *harmless], retrainings=[asked(50_000, 95_000)]
        )
    )
    assert (found.false_pages, found.needless) == (2, 1)
    assert found.alarms == {"quality": 2, "estimated_quality": 1, "drift": 1, "latency": 1}
    assert found.costs[0].asked_before


def test_without_labels_nothing_is_known_to_be_false() -> None:
    empty = Labels(np.empty(0, np.int64), np.empty(0))
    facts = Facts({"v1": SECONDS}, {"v1": empty}, {})
    found = measure(PolicyOutcome(alarms=[alarm("quality", 1, 2)], retrainings=[asked(1, 2)]), facts, [], None)
    assert (found.false_pages, found.needless, found.retraining_minutes) == (None, None, None)


def test_sums() -> None:
    wanted = [RequestedLabels(version="v1", time_ms=1, wanted=each, reason="") for each in (40, 2)]
    found = measured(
        PolicyOutcome(retrainings=[asked(101_000, 139_000), asked(101_000, 190_000)], labels_wanted=wanted), 2.5
    )
    assert (found.retrainings, found.retraining_minutes) == (2, 5.0)
    assert (found.labels_asked, found.labels_asked_times) == (42, 2)
    assert (found.found, found.asked, found.loss) == (0, 1, 20.0)
