"""The metrics of gateway and controller."""

from __future__ import annotations

from contextlib import suppress

from prometheus_client import Counter, Gauge, Histogram

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
TOKEN_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
STATES = ("none", "waiting", "planned", "loading", "attested", "canary", "promoted")  # a rollout that is not over

REQUESTS = Counter("homeostat_requests_total", "Requests answered, or tried to.", ["alias", "version", "arm", "status"])
DURATION = Histogram(
    "homeostat_request_duration_seconds", "Request to the last byte.", ["alias", "version", "arm"], buckets=SECONDS
)
TTFT = Histogram(
    "homeostat_ttft_seconds", "Request to the first token of a stream.", ["alias", "version", "arm"], buckets=SECONDS
)
TPOT = Histogram(
    "homeostat_tpot_seconds",
    "Per token of a stream after the first.",
    ["alias", "version", "arm"],
    buckets=TOKEN_SECONDS,
)
IN_FLIGHT = Gauge("homeostat_requests_in_flight", "Requests under way.", ["replica"])
REJECTED = Counter("homeostat_rejected_total", "Requests refused before a version was picked.", ["status", "code"])
RETRIES = Counter("homeostat_retries_total", "Tries that a replica did not answer.", ["replica"])
TAGS_IGNORED = Counter(
    "homeostat_tags_ignored_total", "Headers with another tag than the one that the API key is bound to.", ["tag"]
)
AUDIT_LOST = Counter("homeostat_audit_lines_lost_total", "Lines of the audit log that could not be written.")
SHADOWS_LEFT_OUT = Counter("homeostat_shadows_left_out_total", "Requests that no shadow was asked.", ["alias"])
FEEDBACK = Counter("homeostat_feedback_total", "Feedback taken. Correct: a loss below a half.", ["alias", "correct"])
GENERATION = Gauge("homeostat_route_generation", "Generation of the route in force.", ["alias"])
WEIGHT = Gauge("homeostat_canary_weight_ratio", "The canary's share of the requests.", ["alias"])
HEALTHY = Gauge("homeostat_replica_healthy", "1 where the replica attests that it is well, and answers.", ["replica"])
ATTESTATIONS_REFUSED = Counter(
    "homeostat_attestations_refused_total", "Attestations that do not count, for which nothing is sent.", ["reason"]
)
PROOF_FAILED = Gauge(
    "homeostat_replica_proof_failed_info",
    "1 where the engine does not compute with the version's adapter: nothing is served under its name.",
    ["replica", "version"],
)
ROLLOUT = Gauge("homeostat_rollout_state_info", "1 for the state that the alias's rollout is in.", ["alias", "state"])
ROLLOUTS = Counter("homeostat_rollouts_total", "Rollouts by what became of them.", ["alias", "outcome"])


def show_proof(replica: str, version: str, *, failed: bool) -> None:
    """Set the gauge of a version that an engine was asked to prove."""
    PROOF_FAILED.labels(replica, version).set(failed)


def forget_proof(replica: str, version: str) -> None:
    """Take the version's gauge away, once no route wants it."""
    with suppress(KeyError):
        PROOF_FAILED.remove(replica, version)


def show_rollout(alias: str, state: str) -> None:
    """Set the gauge of an alias's rollout to the state, one of STATES."""
    for each in STATES:
        ROLLOUT.labels(alias, each).set(each == state)


def count_rollout(alias: str, outcome: str) -> None:
    """Count a rollout that ended. `outcome`: promoted, aborted, rolled_back, overtaken (by another champion), or kept
    (the guard after the promotion stayed quiet to its end)."""
    ROLLOUTS.labels(alias, outcome).inc()
