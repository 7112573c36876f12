"""How good answers are, in words that fit the metric: the share that is right where each is right or wrong, the
metric's own number where losses lie between, those of the reference or later ones; of ratings the share of thumbs down,
or the mean score.

>>> from monitor.signals.interface import Baseline
>>> known = About("quality", "v1", metric="rouge_l", baseline=Baseline(100, 48.0, graded=True))
>>> is_as_good(known, 0.59), seems_as_good(known, 0.59), was_as_good(known), measure(known)
('has ROUGE-L 0.41 in', 'seems to have only ROUGE-L 0.41 in', '0.52', 'mean loss by ROUGE-L')
>>> plain = About("quality", "v1", baseline=Baseline(100, 5.0))
>>> is_as_good(plain, 0.27), seems_as_good(plain, 0.27), was_as_good(plain), measure(plain)
('is right in 73% of', 'seems right in only 73% of', '95%', 'share of wrong answers')
>>> for rating in ("thumb", "score"):
...     rated = About("quality", "v1", baseline=Baseline(100, 5.0), rating=rating)
...     is_as_good(rated, 0.27), was_as_good(rated), measure(rated), judged(rated), given(rating)
('has a thumb down on 27% of', '5%', 'share of thumbs down', 'rated', 'thumbs')
('has a mean score of 0.73 in', '0.95', 'mean loss by score', 'rated', 'scores')
"""

from __future__ import annotations

from monitor.losses import is_graded
from monitor.metrics import spoken
from monitor.signals.interface import About


def is_as_good(about: About, loss: float) -> str:
    """Return how good answers with this mean loss are; the answers follow."""
    number = _number(about, loss)
    if about.rating:
        return f"has a thumb down on {number} of" if about.rating == "thumb" else f"has a mean score of {number} in"
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
    if about.rating:
        return "share of thumbs down" if about.rating == "thumb" else "mean loss by score"
    return f"mean loss by {spoken(about.metric)}" if _graded(about) else "share of wrong answers"


def no_room(about: About) -> str:
    """Return why nothing worse than the reference's answers can be proven."""
    known = about.baseline
    if _graded(about):
        return f"{spoken(about.metric)} is {was_as_good(about)} in the reference's {known.labelled} labels"
    return f"{known.loss:g} of the reference's {known.labelled} labels say wrong"


def judged(about: About) -> str:
    """Return which answers these are."""
    return "rated" if about.rating else "labelled"


def given(rating: str) -> str:
    """Return what people gave: ratings of this measure, or labels."""
    return f"{rating}s" if rating else "labels"


def _number(about: About, loss: float) -> str:
    if about.rating:
        return f"{loss:.0%}" if about.rating == "thumb" else f"{1.0 - loss:.2f}"
    return f"{1.0 - loss:.2f}" if _graded(about) else f"{1.0 - loss:.0%}"


def _graded(about: About) -> bool:
    return about.baseline.graded or is_graded(event.loss for event in about.tested)
