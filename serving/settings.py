"""The operator's decisions about serving and rolling out; checked once, when made."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from monitor.describe.pii import PATTERNS
from monitor.validation import require
from streams.identity import LORA_RANKS

TAG_HEADERS = {
    "x-homeostat-tenant": "tenant",
    "x-homeostat-language": "language",
    "x-homeostat-group": "group",
}
COUNTRY = re.compile("(?:[1-9][0-9]{0,2})?")
ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s]+")


@dataclass(frozen=True, slots=True)
class Replica:
    """One engine: its name in attestations, and its address."""

    name: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """How clients are served and what is kept of it."""

    host: str = "127.0.0.1"  # address that clients reach
    tls_cert: Path | None = None  # PEM, with its chain; with it the gateway speaks HTTPS and nothing else
    tls_key: Path | None = None  # PEM, of that certificate
    keys_file: Path | None = None  # API keys (`serving.gateway.access.keys`), besides the one of `homeostat up`
    default_key: bool | None = None  # whether that one is taken; none: where `stack.embedded_kafka` is true
    head_limit_bytes: int = 16_384  # of a request's head
    body_limit_bytes: int = 1_048_576  # of a request's body
    bodies_bytes: int = 256 * 1_048_576  # of all requests under way; a body is read once it has its part of them
    bodies_bytes_per_key: int = 64 * 1_048_576  # of those of one API key
    head_timeout_s: float = 10.0  # for a client to send its request's head
    body_timeout_s: float = 30.0  # and its body
    write_timeout_s: float = 30.0  # for a client that takes nothing of its answer; one that is slow has all the time
    idle_timeout_s: float = 75.0  # between two requests of a connection
    max_connections: int = 10_000  # of clients at once
    max_connections_per_address: int = 2_500  # behind a proxy, all connections come from the proxy's
    cors_origins: tuple[str, ...] = ()  # of web pages that may read answers, as https://app.example; "*" for any
    max_in_flight: int = 4_096  # requests under way; more are refused with a time to come back
    max_messages: int = 2_048  # of one request
    max_texts: int = 2_048  # of one request: prompts, inputs, parts of messages
    max_tools: int = 256  # of one request
    max_answers: int = 128  # of one request: its prompts times its n or best_of
    max_tokens: int = 262_144  # that one request may ask for, in all its answers together
    max_answers_per_key: int = 4_096  # under way for one API key: prompts times n; its entry may say less
    capture_chars: int = 131_072  # of a question, and of an answer, that an event holds: begins and ends of long texts
    timeout_s: float = 120.0  # for a whole answer; of a stream, between two chunks
    connect_timeout_s: float = 2.0  # for a connection to an engine
    # PEM: whom certificates of https engines must lead to, read again when it changes; None: whom the system trusts
    engine_ca: Path | None = None
    tries: int = 3  # replicas asked while the client has seen nothing; two, where connections die with the request
    avoid_s: float = 1.0  # a replica that could not be reached is asked last for so long; twice as long each time
    silent_s: float = 30.0  # a replica that lets requests end unanswered and has answered no client for so long hangs
    prompt_logprobs: bool = False  # whether clients may ask for the prompt's: vLLM with adapters on a CPU ends on them
    drain_delay_s: float = 0.0  # from SIGTERM on, still accepting: for load balancers to notice
    drain_s: float = 10.0  # for requests under way when the gateway ends
    replica_poll_s: float = 2.0  # between two questions to each listed side-car for its attestation
    replica_stale_s: float = 6.0  # a side-car whose last good answer is older gets nothing
    shadow_share: float = 1.0  # of the requests, mirrored where a route names a shadow
    shadow_in_flight: int = 32  # mirrored at once; more are left out
    tag_headers: dict[str, str] = field(default_factory=lambda: dict(TAG_HEADERS))  # header -> tag in the event
    tags_by_header: bool = True  # whether clients may give tags that their key is not bound to
    user_header: str = "x-homeostat-user"  # of the end user, where neither the key nor the body names one
    conversation_header: str = "x-session-id"  # of the conversation; goes before what the body says
    mask: tuple[str, ...] = tuple(PATTERNS)  # what never leaves the process in an event
    phone_country: str = ""  # code ("49") of telephone numbers without one: both ways to write one are one number then
    audit_share: float = 0.0  # of the replies, chosen before their answer is known; auditors label them
    feedback_per_minute: int = 6_000  # of each key, from each gateway process
    feedback_bytes_per_minute: int = 16 * 1_048_576  # of each key, likewise
    recent_answers: int = 10_000  # kept in memory, to judge labels that a digest cannot
    recent_answers_bytes: int = 64 * 1_048_576  # of memory that they take at most
    spool_bytes: int = 256 * 1_048_576  # events on disk that Kafka has not taken
    ship_every_s: float = 1.0  # how long events gather for Kafka: every shipment costs those who are answered meanwhile
    fsync: Literal["always", "interval", "never"] = "interval"  # what a power cut may take: nothing, a second, more

    def __post_init__(self) -> None:
        whole = ("body_limit_bytes", "spool_bytes", "max_connections", "max_in_flight", "tries", "shadow_in_flight")
        asked = ("max_messages", "max_texts", "max_tools", "max_answers", "max_tokens", "max_answers_per_key")
        for name in (*whole, *asked, "max_connections_per_address", "feedback_per_minute", "feedback_bytes_per_minute"):
            require(self, name, getattr(self, name) >= 1, "at least 1")
        require(self, "capture_chars", self.capture_chars >= 1_024, "at least 1024")
        for name in ("bodies_bytes", "bodies_bytes_per_key"):
            least = self.body_limit_bytes
            require(self, name, getattr(self, name) >= least, f"at least body_limit_bytes, which is {least}")
        origins = all(origin == "*" or ORIGIN.fullmatch(origin) for origin in self.cors_origins)
        require(self, "cors_origins", origins, 'origins such as https://app.example, or "*"')
        require(self, "head_limit_bytes", self.head_limit_bytes >= 1_024, "at least 1024")
        seconds = ("head_timeout_s", "body_timeout_s", "write_timeout_s", "idle_timeout_s", "timeout_s")
        for name in (*seconds, "connect_timeout_s", "silent_s"):
            require(self, name, getattr(self, name) > 0, "a positive number of seconds")
        require(self, "replica_poll_s", self.replica_poll_s > 0, "a positive number of seconds")
        poll_s = self.replica_poll_s
        require(self, "replica_stale_s", self.replica_stale_s > poll_s, f"more than replica_poll_s, which is {poll_s}")
        for name in ("avoid_s", "drain_delay_s", "drain_s", "ship_every_s"):
            require(self, name, getattr(self, name) >= 0, "0 or more seconds")
        require(self, "audit_share", 0 <= self.audit_share <= 1, "a share from 0 to 1")
        require(self, "shadow_share", 0 <= self.shadow_share <= 1, "a share from 0 to 1")
        for name in ("recent_answers", "recent_answers_bytes"):
            require(self, name, getattr(self, name) >= 0, "0 or more")
        code = COUNTRY.fullmatch(self.phone_country)
        require(self, "phone_country", code is not None, 'the digits of a country code, as in "49", or none')
        require(self, "mask", all(kind in PATTERNS for kind in self.mask), f"kinds among {', '.join(PATTERNS)}")
        lower = all(header == header.lower() for header in self.tag_headers)
        require(self, "tag_headers", lower, "header names in lower case")
        for name in ("user_header", "conversation_header"):
            header = getattr(self, name)
            require(self, name, header == header.lower().strip() != "", "a header's name in lower case")
        both = (self.tls_cert is None) == (self.tls_key is None)
        require(self, "tls_key", both, "a file where tls_cert is one, and none where it is none")


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerSettings:
    """How a candidate becomes the champion, and what makes it step back."""

    canary_weight: float = 0.5  # its share of the requests
    canary_requests: int = 40  # replies it must give before it may be promoted
    loading_timeout_s: float = 120.0  # for a candidate's attestation; then its rollout is aborted
    canary_timeout_s: float = 900.0  # for the canary's replies; then its rollout is aborted
    guard_delta: float = (
        0.05  # by which its errors, slow answers and mean loss may be worse; of losses in the metric's unit
    )
    guard_alpha: float = 0.01  # chance that a harmless one is ever called harmful
    guard_watch_s: float = 600.0  # after its promotion
    latency_slo_ms: float = 30_000.0  # slower counts against it
    poll_s: float = 0.5  # how often rollouts are looked at
    attest_every_s: float = 5.0  # how often a replica says again what it serves
    engine_poll_s: float = 0.5  # how soon an engine's end or restart is noticed
    drain_s: float = 5.0  # from the last route that wants a version to its unloading
    max_loras: int = 4  # slots of each engine: champions, canaries, previous ones and shadows of all aliases
    max_lora_rank: int = 16  # what the engines were started with
    probe_every_s: float = 60.0  # how often a served version's fingerprint is taken again
    probe_tolerance: float = 0.1  # mean difference of log-probabilities that is still the same adapter
    # false: a version whose proof of effect fails is served all the same where the fingerprints agree, and the failure
    # shown; for engines of another type or quantisation than the proofs were calculated for, until all are retrained
    proof_required: bool = True

    def __post_init__(self) -> None:
        require(self, "canary_weight", 0 < self.canary_weight < 1, "a share between 0 and 1")
        require(self, "canary_requests", self.canary_requests >= 1, "at least 1")
        require(self, "guard_delta", 0 <= self.guard_delta < 1, "a share from 0 to below 1")
        require(self, "guard_alpha", 0 < self.guard_alpha < 1, "a share between 0 and 1")
        seconds = (
            "loading_timeout_s",
            "canary_timeout_s",
            "poll_s",
            "attest_every_s",
            "engine_poll_s",
            "probe_every_s",
        )
        for name in (*seconds, "latency_slo_ms", "probe_tolerance"):
            require(self, name, getattr(self, name) > 0, "a positive number")
        for name in ("guard_watch_s", "drain_s"):
            require(self, name, getattr(self, name) >= 0, "0 or more seconds")
        require(self, "max_loras", self.max_loras >= 1, "at least 1")
        require(self, "max_lora_rank", self.max_lora_rank in LORA_RANKS, f"one of {LORA_RANKS}")
