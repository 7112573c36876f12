"""How good answers are, in words that fit the metric: the share that is right where each is right or wrong, the
metric's own number where losses lie between, those of the reference or later ones.

>>> from monitor.signals.interface import Baseline
>>> known = About("quality", "v1", metric="rouge_l", baseline=Baseline(100, 48.0, graded=True))
>>> is_as_good(known, 0.59), seems_as_good(known, 0.59), was_as_good(known), measure(known)
('has ROUGE-L 0.41 in', 'seems to have only ROUGE-L 0.41 in', '0.52', 'mean loss by ROUGE-L')
>>> plain = About("quality", "v1", baseline=Baseline(100, 5.0))
>>> is_as_good(plain, 0.27), seems_as_good(plain, 0.27), was_as_good(plain), measure(plain)
('is right in 73% of', 'seems right in only 73% of', '95%', 'share of wrong answers')
"""

from __future__ import annotations

from monitor.losses import is_graded
from monitor.metrics import spoken
from monitor.signals.interface import About


def is_as_good(about: About, loss: float) -> str:
    """Return how good answers with this mean loss are; the answers follow."""
    number = _number(about, loss)
    return f"has {spoken(about.metric)} {number} in" if _graded(about) else f"is right in {number} of"


def seems_as_good(about: About, loss: float) -> str:
    """Return the same of an estimate."""
    number = _number(about, loss)
    if _graded(about):
        return f"seems to have only {spoken(about.metric)} {number} in"
    return f"seems right in only {number} of"


def was_as_good(about: About) -> str:
    """Return the number of the reference's answers."""
    known = about.baseline
    return _number(about, known.loss / known.labelled) if known.labelled else "unknown"


def measure(about: About) -> str:
    """Name what slices are compared by."""
    return f"mean loss by {spoken(about.metric)}" if _graded(about) else "share of wrong answers"


def no_room(about: About) -> str:
    """Return why nothing worse than the reference's answers can be proven."""
    known = about.baseline
    if _graded(about):
        return f"{spoken(about.metric)} is {was_as_good(about)} in the reference's {known.labelled} labels"
    return f"{known.loss:g} of the reference's {known.labelled} labels say wrong"


def _number(about: About, loss: float) -> str:
    return f"{1.0 - loss:.2f}" if _graded(about) else f"{1.0 - loss:.0%}"


def _graded(about: About) -> bool:
    return about.baseline.graded or is_graded(event.loss for event in about.tested)
