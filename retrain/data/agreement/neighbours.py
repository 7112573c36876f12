"""Requests that are like others, by what differs between rows: pieces of words, each weighed by how telling it is
(TF-IDF), compared by the cosine of two requests' pieces.

A request is read in part where it is long, so that the cost of one is bounded whatever stands in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.describe.words import excerpt
from retrain.data.example import Example
from retrain.data.likeness import Likeness

PIECES = (3, 5)  # characters of the pieces that are compared, within words
LEAST = 0.25  # likeness of two requests, for one to say something of the other
AT_ONCE = 500  # requests that are compared with all others at a time
DIGITS = 4  # of a likeness: more of them depend on the order of a sum

Floats = NDArray[np.float64]


def vectors(rows: Sequence[Example], likeness: Likeness, fewest: int = 1) -> Any:
    """Return a sparse matrix with a row of length 1 for each request; all zeros where it has no piece that so many
    requests have."""
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = [excerpt(text) for text in likeness.differences(rows)]
    try:
        pieces = TfidfVectorizer(analyzer="char_wb", ngram_range=PIECES, sublinear_tf=True, min_df=fewest)
        return pieces.fit_transform(texts)
    except ValueError:  # no text has a piece
        return csr_matrix((len(rows), 1))


def likenesses(requests: Any, others: Any) -> Iterator[Floats]:
    """Yield the likeness of each request to each of the others, from 0 to 1."""
    columns = others.T.tocsr()
    for start in range(0, requests.shape[0], AT_ONCE):
        yield from np.round((requests[start : start + AT_ONCE] @ columns).toarray(), DIGITS)
