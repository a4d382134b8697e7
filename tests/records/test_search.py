"""The full text of past runs: found by what a tired person types."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsnb.model import Finding, RunResult, Status
from opsnb.records.history import Filters
from opsnb.records.search import search
from opsnb.records.store import Store
from opsnb.redaction import Redactor
from tests.records.index.test_index import CLEARED
from tests.records.test_store import START, make_notebook, make_result, store, url

__all__ = ["store", "url"]  # fixtures


def keep(store: Store, result: RunResult, printed: str = "") -> RunResult:
    output = {"output_type": "stream", "name": "stdout", "text": printed}
    store.keep(result, make_notebook(result, output), Redactor())
    return result


def found(store: Store, text: str, filters: Filters | None = None) -> list[str]:
    return [hit.run.run_id for hit in search(store, text, filters or Filters(), 10)]


def refusing(day: int) -> RunResult:
    crit = Finding(
        name="cache.ping",
        title="Cache",
        status=Status.CRIT,
        message="The cache is full, so nothing was cleared.",
    )
    return make_result(
        START + timedelta(days=day),
        "cache/health",
        findings=[crit],
        status=Status.CRIT,
        exit_code=2,
    )


def test_what_was_done_comes_first_then_what_was_critical_then_what_was_printed(
    store: Store,
) -> None:
    printed = keep(store, make_result(START + timedelta(days=9)), "clear the cache clear the cache")
    crit = keep(store, refusing(8))
    old = keep(store, make_result(START, "cache/clear", actions=[CLEARED]))
    new = keep(store, make_result(START + timedelta(days=1), "cache/clear", actions=[CLEARED]))
    keep(store, make_result(START + timedelta(days=2)), "nothing of that")
    expected = [new.run_id, old.run_id, crit.run_id, printed.run_id]
    assert found(store, "who cleared the cache?") == expected
    assert found(store, "clearing caches") == expected
    assert found(store, "cache", Filters(acted=True)) == expected[:2]
    assert found(store, "cache clear", Filters(status=("crit",))) == [crit.run_id]


def test_a_snippet_shows_the_text_that_matches(store: Store) -> None:
    keep(
        store, make_result(), "x " * 500 + "ECONNREFUSED at \x1b[31m10.0.0.7\x1b[0m\n" + "y " * 500
    )
    (hit,) = search(store, "econnrefused 10.0.0.7", Filters(), 10)
    assert "ECONNREFUSED at 10.0.0.7" in hit.snippet
    assert len(hit.snippet) < 400


def test_the_end_of_a_run_id_people_and_parameters_are_found(store: Store) -> None:
    result = keep(
        store,
        make_result(
            run_id="20261123T071500Z-health.daily-demo-7f3a",
            operator="zoë",
            incident="inc-2026-11",
            parameters={"queue": "ai-analysis"},
        ),
    )
    keep(store, make_result(START + timedelta(days=1)))
    for text in ("7f3a", "zoe", "ZOË", "inc-2026-11", "ai-analysis", result.run_id):
        assert found(store, text) == [result.run_id], text


def test_words_in_quotes_stand_together(store: Store) -> None:
    together = keep(store, make_result(), "connection refused by the peer")
    keep(store, make_result(START + timedelta(days=1)), "refused the connection")
    assert found(store, '"connection refused"') == [together.run_id]
    assert len(found(store, "connection refused")) == 2


def test_where_nothing_has_all_words_those_that_begin_so_or_have_one_are_shown(
    store: Store,
) -> None:
    one = keep(store, make_result(), "replication lag")
    two = keep(store, make_result(START + timedelta(days=1)), "rollback")
    assert found(store, "replic") == [one.run_id]
    assert set(found(store, "replication rollback")) == {one.run_id, two.run_id}
    assert found(store, "zebra") == []


@pytest.mark.parametrize(
    "text",
    ["", '"', '""', "' OR 1=1", "a AND", "NEAR(a b", "-x", "--", "x*", "^x", "printed:", "{done}:x",
     "NOT", "(", "\0", "a\ud800", "💥", "the", 'a"b"c"', "x" * 100_000, "x " * 10_000],
)  # fmt: skip
def test_no_text_is_an_error(store: Store, text: str) -> None:
    keep(store, make_result(), "printed")
    assert isinstance(found(store, text), list)


@settings(max_examples=150, deadline=None)
@given(st.text(st.characters(exclude_categories=[]) | st.sampled_from('"*^:(){}-+ NEARANDORT')))
def test_whatever_is_typed_is_searched(text: str) -> None:
    assert isinstance(found(STORE, text), list)


STORE = Store(f"memory://{uuid.uuid4().hex}")


def test_a_damaged_notebook_is_found_by_what_its_result_says(store: Store) -> None:
    result = keep(store, refusing(0), "printed once")
    store.place.files.pipe_file(f"{store._path(result.run_id)}/record.ipynb", b"{")
    assert found(store, "cache full") == [result.run_id]


def test_an_open_run_is_found_by_what_it_printed_last(store: Store) -> None:
    result = make_result(open=True)
    keep(store, result, "before")
    assert found(store, "before") == [result.run_id]
    result.open = False
    output = {"output_type": "stream", "name": "stdout", "text": "after"}
    store.update(result, make_notebook(result, output), Redactor())
    assert found(store, "after") == [result.run_id]
    assert found(store, "before") == []
