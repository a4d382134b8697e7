"""Of the corpora every planted secret is masked, and no harmless text."""

from __future__ import annotations

import pytest

from opsnb.redaction import MASK, Redactor
from tests.redaction.corpus import Planted, harmless, planted
from tests.redaction.encoded import written

PLANTED = [*planted(), *planted("planted_later.txt"), *planted("planted_third.txt")]
HARMLESS = [*harmless(), *harmless("harmless_later.txt"), *harmless("harmless_third.txt")]


def test_the_corpora_are_large() -> None:
    assert len(PLANTED) >= 300
    assert len(HARMLESS) >= 300
    assert len(written()) >= 300


@pytest.mark.parametrize("case", PLANTED, ids=lambda case: case.text[:60])
def test_a_secret_that_nobody_named_is_masked(case: Planted) -> None:
    masked = Redactor().text(case.text)
    assert not case.is_legible(masked), masked
    assert MASK in masked


@pytest.mark.parametrize("text", HARMLESS)
def test_a_harmless_text_stays_as_it_is(text: str) -> None:
    assert Redactor(["hunter2hunter2"]).text(text) == text


@pytest.mark.parametrize("case", written(), ids=lambda case: f"{case.way} of {case.secret}"[:60])
def test_a_known_secret_is_masked_in_every_way_it_is_written(case: Planted) -> None:
    masked = Redactor([case.secret]).text(case.text)
    assert not case.is_legible(masked), masked
    assert MASK in masked


@pytest.mark.parametrize("case", PLANTED, ids=lambda case: case.text[:60])
def test_masking_twice_is_masking_once(case: Planted) -> None:
    redactor = Redactor()
    once = redactor.text(case.text)
    assert redactor.text(once) == once
