"""The checks of the aliases' metrics: schemas and functions are there, judge models answer."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Iterator

from deploy.doctor.findings import Finding
from deploy.doctor.services import ANSWER_S, Examined, read_models
from streams.scoring.scorer import Scorer
from streams.scoring.settings import ByRubric


def scoring(config: Examined) -> Iterator[Finding]:
    """Check each alias's metric as the worker does when it starts, and ask its judge for its models."""
    for alias, metric in config.scoring.metrics.items():
        name = f"metric of {alias}"
        try:
            scorer = Scorer.of(metric, alias, config.stack.var)
        except ValueError as error:
            yield Finding(name, False, str(error), "mend [scoring.metrics]: worker and trainer do not start with it")
            continue
        if isinstance(scorer.metric, ByRubric):
            yield _judge(name, f"scoring.metrics.{alias}", scorer.metric)
            yield from _shared(config, alias, scorer.metric)
        else:
            yield Finding(name, True, str(metric))
    for alias in config.scoring.judges:
        name, at = f"judge of {alias}", f"scoring.judges.{alias}"
        try:
            scorer = Scorer.of_judge(config.scoring, alias, config.stack.var)
        except ValueError as error:
            yield Finding(name, False, str(error), "mend [scoring.judges]: worker and trainer do not start with it")
            continue
        assert isinstance(scorer.metric, ByRubric)
        yield _judge(name, at, scorer.metric)
        yield from _shared(config, alias, scorer.metric)


def _shared(config: Examined, alias: str, judge: ByRubric) -> Iterator[Finding]:
    """Warn where a judge scores no more replies than are audited anyway."""
    audited = config.gateway.audit_share
    if 0 < judge.share <= audited:
        what = f"it scores {judge.share:.1%} of the replies, {audited:.1%} are audited: it saves no labels"
        yield Finding(f"judge of {alias}", False, what, "set its share above gateway.audit_share", False)


def _judge(name: str, at: str, settings: ByRubric) -> Finding:
    from streams.scoring.rubric import api_key

    key = api_key(settings, at, os.environ)
    request = urllib.request.Request(f"{settings.url.rstrip('/')}/models")  # noqa: S310 - the settings take http alone
    if key:
        request.add_unredirected_header("Authorization", f"Bearer {key}")
    remedy = "its rows stay unjudged meanwhile; see url, key_file and key_env of its metric"
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:  # noqa: S310
            models = read_models(answer.read())
    except urllib.error.HTTPError as error:
        return Finding(name, False, f"{settings.url} answers {error.code} when asked for its models", remedy, False)
    except (OSError, ValueError) as error:
        return Finding(name, False, f"{settings.url} cannot be asked: {error}", remedy, False)
    if settings.model not in models:
        return Finding(name, False, f"{settings.url} has no model {settings.model!r}", remedy, False)
    return Finding(name, True, f"{settings.model} at {settings.url} answers")
