"""Retrainings that an operator asks for, and adapters made elsewhere that are to be judged."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from deploy.config.settings import Config
from deploy.operator.actor import actor
from deploy.stack.lifecycle import model_folder
from retrain.adapters import Adapter, commit
from retrain.claims import ENDED
from retrain.registry import asking, origins
from retrain.registry.origins import VersionOrigin
from serving.replica import adapters
from serving.rollout import operations
from serving.routes.slots import too_high
from streams.clock import now_ms
from streams.events import RetrainReported, RetrainRequested, RouteWritten
from streams.identity import uuid7, version_name
from streams.log.append import Writer
from streams.log.read import read
from streams.log.settings import KafkaSettings
from streams.topics import REQUESTS, RESULTS


@dataclass(frozen=True, slots=True)
class AdoptedAdapter:
    """An adapter made elsewhere, in the store now. `request`: by which it is judged; None where the alias has no
    champion to compare it with."""

    adapter: Adapter
    request: RetrainRequested | None


def retrain(config: Config, alias: str, reason: str) -> RetrainRequested:
    """Ask for a retraining of the alias's champion now. Raise LookupError where nothing serves the alias, RuntimeError
    where it is paused or one is under way."""
    route = operations.routes(config.kafka).get(alias)
    if route is None:
        raise LookupError(f"{alias}: no version serves it; `homeostat train {alias} ROWS` makes a first adapter")
    _require_free(config.kafka, route)
    return _sent(config, route, "retrain", reason)


def adopt(config: Config, alias: str, folder: Path, reason: str) -> AdoptedAdapter:
    """Put the PEFT folder into the alias's store and ask for its judgement. Raise ValueError or OSError where engines
    could not load it on the stack's base model, RuntimeError as `retrain`; nothing is written then."""
    from retrain.base_model import base_model_id
    from retrain.training.backends.delivered import check_delivered

    version_name(alias, "0" * 64)  # an unusable alias is refused before anything expensive
    model = model_folder(config.stack)
    check_delivered(folder, model)
    if lacking := too_high(adapters.rank(folder), config.stack.max_lora_rank):
        raise ValueError(f"{folder}: {lacking}")
    route = operations.routes(config.kafka).get(alias)
    if route is not None:
        _require_free(config.kafka, route)
    trees, base = config.kept.trees(), base_model_id(model, config.stack.var / "digests")
    adapter = commit(folder, trees, alias, base)
    if route is not None and route.champion == adapter.version:
        raise RuntimeError(f"{adapter.version} is the champion of {alias} already")
    if origins.recalled(trees, adapter.version) is None:
        made = VersionOrigin(
            version=adapter.version, digest=adapter.digest, base_model=base, reason=reason, adopted=True
        )
        origins.remember(trees, made)
    request = _sent(config, route, "adopt", reason, adapter.digest) if route else None
    return AdoptedAdapter(adapter, request)


def _sent(config: Config, route: RouteWritten, action: str, reason: str, adopts: str = "") -> RetrainRequested:
    at_ms = now_ms()
    since_ms = asking.fresh_since(config.kept.trees(), route.champion, at_ms)
    request = asking.asked(route, id=uuid7(at_ms), since_ms=since_ms, now_ms=at_ms, reason=reason, adopts=adopts)
    with closing(Writer(config.kafka, f"homeostat/{actor()}")) as writer:
        asking.send(request, action, actor(), writer.append)
    return request


def _require_free(kafka: KafkaSettings, route: RouteWritten) -> None:
    """Raise RuntimeError where no trainer would take a request up, or one is under way."""
    if route.paused:
        raise RuntimeError(f"{route.alias} is paused; `homeostat resume {route.alias}` lets it go on")
    if route.canary:
        raise RuntimeError(f"{route.alias}: {route.canary} is on trial; ask again once its rollout has ended")
    over = {each.event.request_id for each in read(kafka, RESULTS, RetrainReported) if each.event.status in ENDED}
    for record in read(kafka, REQUESTS, RetrainRequested):
        if record.event.alias == route.alias and record.event.id not in over:
            raise RuntimeError(f"{route.alias}: retraining {record.event.id} is under way: {record.event.reason}")
