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
            yield _judge(name, alias, scorer.metric)
        else:
            yield Finding(name, True, str(metric))


def _judge(name: str, alias: str, settings: ByRubric) -> Finding:
    from streams.scoring.rubric import api_key

    key = api_key(settings, f"scoring.metrics.{alias}", os.environ)
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
