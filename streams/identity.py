"""Names that cannot lie: adapter digests and versions, request ids that carry what feedback needs, and responses' ids
that carry what the next turn needs."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from streams.clock import now_ms

ALIAS = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,46}[a-z0-9])?")
VERSION = re.compile(rf"(?P<alias>{ALIAS.pattern})-(?P<digest>[0-9a-f]{{12}})")
LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # what vLLM takes for its --max-lora-rank
EVALUATION = "evaluation-"  # before a version: a candidate's name while it is evaluated, no client's business
ANSWER_DIGITS = 20  # of a masked answer's digest; shorter ones are of answers that were not, or normalised otherwise
ADAPTERS = "adapters"  # the prefix of their keys, and their folder
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
PROOF_FILE = "proof.json"  # by which an engine shows that it computes with the adapter; older adapters have none


def place_name(environment: Mapping[str, str] = os.environ) -> str:
    """Return where this process runs: the name of its pod (`POD_NAME`), else of its host."""
    return environment.get("POD_NAME", "").strip() or socket.gethostname()


def process_name(role: str, name: str = "", environment: Mapping[str, str] = os.environ) -> str:
    """Return how a process is called in records, headers and logs: after its pod (`POD_NAME`), else its host; `name`
    distinguishes several of one role there.

    >>> process_name("trainer", environment={"POD_NAME": "trainer-0"})
    'trainer/trainer-0'
    """
    return f"{role}/{place_name(environment)}" + (f":{name}" if name and name != role else "")


def adapter_digest(folder: Path, base_model: str) -> str:
    """Return the sha256 (hex) over the base model's id and the adapter's files, names included.

    `ADAPTER_FILES` count, for an engine reads no others, and the proof where there is one: it is not taken away or
    altered unnoticed. Raises FileNotFoundError naming a missing file."""
    digest = hashlib.sha256(f"{base_model}\0".encode())
    for name in (*ADAPTER_FILES, *([PROOF_FILE] if (folder / PROOF_FILE).is_file() else [])):
        path = folder / name
        if not path.is_file():
            raise FileNotFoundError(f"{path}: missing; an adapter folder holds {' and '.join(ADAPTER_FILES)}")
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").digest()
        digest.update(name.encode() + b"\0" + content)
    return digest.hexdigest()


def version_name(alias: str, digest: str) -> str:
    """Return `<alias>-<first 12 hex of the digest>`: the engine's name for the adapter.

    >>> version_name("support", "0123456789abcdef")
    'support-0123456789ab'
    """
    if not ALIAS.fullmatch(alias):
        raise ValueError(f"alias {alias!r}: expected lower-case letters, digits, '-' and '_', 1 to 48 of them")
    return f"{alias}-{digest[:12]}"


def adapter_key(alias: str, digest: str) -> str:
    """Return the key of an adapter's tree in the store of objects.

    >>> adapter_key("support", "0123")
    'adapters/support/0123'
    """
    return f"{ADAPTERS}/{alias}/{digest}"


def uuid7(at_ms: int | None = None) -> str:
    """Return a time-ordered id (RFC 9562) of that time, else of now."""
    raw = bytearray((now_ms() if at_ms is None else at_ms).to_bytes(6, "big") + os.urandom(10))
    raw[6] = 0x70 | (raw[6] & 0x0F)
    raw[8] = 0x80 | (raw[8] & 0x3F)
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


@dataclass(frozen=True, slots=True)
class RequestId:
    """The fields of a signed request id. `answer` is the keyed digest of the normalised answer, masked, "" for a
    stream; `tenant` names the key by which it was masked; `assigned`: the arm that was drawn, where another one
    answered."""

    event_id: str
    version: str
    arm: str
    answer: str
    tenant: str = ""
    assigned: str = ""


@dataclass(frozen=True, slots=True)
class TurnId:
    """The fields of a response's id, by which the next turn of a conversation names it. `response`: as the engine knows
    it. By pseudonyms: `conversation`, which goes on with that turn, and `drawn`, by which its arm was drawn."""

    response: str
    conversation: str
    drawn: str


class ReplyDraw(NamedTuple):
    """With which chance a reply was drawn for a label. `share`: the mean chance of all among which it was."""

    share: float
    probability: float


class ForgedRequestId(ValueError):
    """The id was not made by a holder of the signing key, or was altered."""


class ForgedDraw(ValueError):
    """The draw was not made by a holder of the signing key, was altered, or is another reply's."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Makes and reads `<uuid7>.<version>.<arm>.<answer digest>.<tenant>.<key id>.<mac>`; reads ids without a tenant,
    as they were until December 2026, too. Where another arm was drawn than the one that answered, the arm is written
    `<arm>~<assigned>`.

    `key` signs; what the `older` keys have signed is taken too, while one key takes the place of another. `private` is
    the key of pseudonyms, surrogates and answers' digests, which stay as they are when signing keys change; where it is
    empty, `key` is.

    >>> new, old = Signer(b"new", older=(b"old",), private=b"mask"), Signer(b"old", private=b"mask")
    >>> given = RequestId("e", "support-0123456789ab", "champion", "")
    >>> new.read(old.sign(given)) == given, new.pseudonym("ann") == old.pseudonym("ann")
    (True, True)
    """

    key: bytes
    key_id: str = "k1"
    older: tuple[bytes, ...] = ()
    private: bytes = b""

    def answer_digest(self, event_id: str, normalised: str) -> str:
        """Return an answer's digest, keyed by the event too: equal answers do not have equal digests."""
        return _mac(self._private, "answer", f"{event_id}\0{normalised}")[:ANSWER_DIGITS]

    def pseudonym(self, name: str) -> str:
        """Return a name that tells users apart without naming them; without the key no guess can be tried."""
        return _mac(self._private, "user", name)[:12]

    def tenant_key(self, tenant: str) -> bytes:
        """Return the key by which a tenant's private values get their surrogates; `tenant`: a pseudonym."""
        return bytes.fromhex(_mac(self._private, "tenant", tenant, hashlib.blake2b.MAX_KEY_SIZE))

    def sign(self, request: RequestId) -> str:
        """Return the request id as clients get it."""
        arm = f"{request.arm}~{request.assigned}" if request.assigned else request.arm
        fields = (request.event_id, request.version, arm, request.answer, request.tenant, self.key_id)
        body = ".".join(fields)
        return f"{body}.{_mac(self.key, 'id', body)[:24]}"

    def read(self, text: str) -> RequestId:
        """Return the fields of a request id; raise ForgedRequestId when its form or its signature is wrong."""
        parts = text.split(".") if isinstance(text, str) else []
        if len(parts) not in (6, 7):
            raise ForgedRequestId("request_id: expected the value of the x-homeostat-request-id header")
        body = text.rpartition(".")[0]
        if parts[-2] != self.key_id or not self._made("id", body, parts[-1]):
            raise ForgedRequestId("request_id: the signature does not match; it was altered or made elsewhere")
        event_id, version, arms, answer, *tenant = parts[:-2]
        arm, _, assigned = arms.partition("~")
        return RequestId(event_id, version, arm, answer, "".join(tenant), assigned)

    def sign_draw(self, event_id: str, draw: ReplyDraw) -> str:
        """Return what a label of a drawn reply brings back: `<share>:<probability>:<key id>:<mac>`."""
        body = f"{draw.share!r}:{draw.probability!r}:{self.key_id}"
        return f"{body}:{_mac(self.key, 'draw', f'{event_id}:{body}')[:24]}"

    def read_draw(self, event_id: str, text: str) -> ReplyDraw:
        """Return the chances with which this reply was drawn; raise ForgedDraw where no draw gave it so."""
        body, _, mac = text.rpartition(":")
        if not self._made("draw", f"{event_id}:{body}", mac):
            raise ForgedDraw(
                "draw: its signature does not match the reply; expected it as `homeostat labels wanted --draw` gives it"
            )
        share, probability, *_ = body.split(":")
        return ReplyDraw(float(share), float(probability))

    def sign_turn(self, turn: TurnId) -> str:
        """Return the response's id as clients get it: `<response>.<conversation>.<drawn>.<mac>`. So any gateway knows
        the conversation, whichever answered the turn before.

        >>> signer = Signer(b"key")
        >>> signer.read_turn(signer.sign_turn(TurnId("resp_1", "77c0", "77c0")))
        TurnId(response='resp_1', conversation='77c0', drawn='77c0')
        """
        body = f"{turn.response}.{turn.conversation}.{turn.drawn}"
        return f"{body}.{_mac(self.key, 'turn', body)}"

    def read_turn(self, text: str) -> TurnId | None:
        """Return the fields of a response's id; None where no holder of the signing key made it."""
        body, _, mac = text.rpartition(".")
        fields = body.rsplit(".", 2)
        return TurnId(*fields) if len(fields) == 3 and self._made("turn", body, mac) else None

    @property
    def _private(self) -> bytes:
        return self.private or self.key

    def _made(self, purpose: str, text: str, mac: str) -> bool:
        """Return whether a holder of one of the keys has signed the text."""
        return any(_equal(mac, _mac(key, purpose, text)) for key in (self.key, *self.older))


def _mac(key: bytes, purpose: str, text: str, size: int = 12) -> str:
    """BLAKE2b's own keyed mode (RFC 7693): an HMAC's strength at a fifth of its time."""
    key = key if len(key) <= hashlib.blake2b.MAX_KEY_SIZE else hashlib.sha256(key).digest()
    data = text.encode(errors="surrogatepass")
    return hashlib.blake2b(data, key=key, person=purpose.encode(), digest_size=size).hexdigest()


def _equal(given: str, mac: str) -> bool:
    """In constant time; a client may send any character."""
    return hmac.compare_digest(given.encode(errors="surrogatepass"), mac.encode())
