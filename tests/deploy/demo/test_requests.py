"""Requests around the demo's questions: each kind holds the question, and what it promises around it."""

from __future__ import annotations

from random import Random

import pytest

from deploy.demo.world.requests import DOCUMENT_CHARS, KINDS, SHOTS, TURNS, Kind, document, request

ASKED = "Where is my order?"


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_ends_with_its_question_and_is_the_same_again(kind: Kind) -> None:
    messages = request(kind, Random(3), ASKED)
    assert messages == request(kind, Random(3), ASKED)
    assert messages[-1].role == "user"
    assert messages[-1].content.endswith(ASKED)


def test_what_stands_around_is_as_long_as_promised() -> None:
    sizes = {kind: len(request(kind, Random(0), ASKED)[-1].content.split()) - 4 for kind in KINDS}
    assert (sizes["bare"], sizes["instruction 150"], sizes["instruction 600"]) == (0, 150, 600)
    assert len(document(7)) == DOCUMENT_CHARS
    assert len(request("conversation", Random(0), ASKED)) == 2 * TURNS
    assert request("examples", Random(0), ASKED)[0].content.count("Message: ") == SHOTS + 1


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="kind is 'odd', expected one of 'bare', "):
        request("odd", Random(0), ASKED)  # type: ignore[arg-type]
