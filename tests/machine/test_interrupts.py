"""One SIGINT interrupts the work; those that follow leave its clean-up alone."""

from __future__ import annotations

import os
import signal
import time

import pytest

from opsnb.machine import interrupts


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0)  # Python handles it now


def test_a_second_interrupt_does_not_disturb_the_clean_up() -> None:
    done = []

    def work() -> None:
        with interrupts.shielded():
            try:
                press()
            finally:
                press()
                press()
                done.append("put back")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["put back"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_clean_up_that_takes_too_long_can_be_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "CLEAN_UP_S", 0.05)
    done = []

    def work() -> None:
        with interrupts.shielded():
            try:
                press()
            finally:
                time.sleep(0.1)
                press()
                done.append("not reached")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == []


def test_an_interrupt_that_comes_as_the_work_is_written_down_comes_after_that() -> None:
    done = []

    def work() -> None:
        with interrupts.shielded() as shield:
            shield.defer()
            press()
            done.append("written")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["written"]


def test_what_puts_things_back_runs_to_its_end_and_is_interrupted_then() -> None:
    done = []

    def work() -> None:
        with interrupts.shielded():
            with interrupts.deferred():
                press()
                done.append("put back")
            done.append("not reached")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["put back"]


def test_without_an_interrupt_nothing_is_raised() -> None:
    with interrupts.shielded() as shield:
        shield.defer()
    with interrupts.deferred():
        pass


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (signal.SIGINT, "You interrupted the run."),
        (signal.SIGTERM, "The run was stopped (SIGTERM)."),
        (signal.SIGHUP, "The run was stopped (SIGHUP): its terminal was closed."),
    ],
)
def test_a_run_says_which_signal_ended_it(number: signal.Signals, words: str) -> None:
    assert interrupts.sentence(number) == words
