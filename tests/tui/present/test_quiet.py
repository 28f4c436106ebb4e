"""Which keys answer a window, and which were typed without a look at it."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from tui.present.quiet import QUIET, Quiet

SPEEDS = st.sampled_from([0.0, 0.02, 0.05, 0.2, 0.5, 0.99])


def press(quiet: Quiet, key: str, at: float) -> bool:
    """Return whether the key is an answer that counts."""
    answers = key in "y "
    return not quiet.eats(at, types=not key.isdigit(), answers=answers) and answers


@given(st.text("yn 1qxc", min_size=1), SPEEDS, st.floats(0, 0.99))
def test_keys_that_follow_each_other_never_answer_a_new_window(text: str, speed: float, first: float) -> None:
    quiet = Quiet()
    quiet.show(0)
    assert not any(press(quiet, key, first + n * speed) for n, key in enumerate(text))


@given(st.text("abcdefg", min_size=1), st.text("y ", min_size=1), SPEEDS)
def test_an_answer_at_the_end_of_a_word_never_counts(word: str, end: str, speed: float) -> None:
    quiet = Quiet()
    quiet.show(0)
    assert not any(press(quiet, key, 5 + n * speed) for n, key in enumerate(word + end))


@pytest.mark.parametrize("key", ["y", " "])
def test_an_answer_after_a_quiet_second_counts(key: str) -> None:
    quiet = Quiet()
    quiet.show(0)
    assert not press(quiet, "x", 0.5)
    assert not press(quiet, key, 1.4)  # counts from the last key on
    assert not press(quiet, key, 2.3)
    assert press(quiet, key, 2.3 + QUIET)


def test_a_window_that_was_not_drawn_takes_no_answer() -> None:
    assert not press(Quiet(), "y", 1000.0)


def test_before_the_first_quiet_second_every_key_is_eaten_and_afterwards_none_but_an_answer() -> None:
    quiet = Quiet()
    quiet.show(0)
    assert quiet.eats(0.9, types=False, answers=False)
    assert not quiet.eats(1.9, types=True, answers=False)
    assert not quiet.eats(2.0, types=True, answers=False)
    assert quiet.eats(2.1, types=True, answers=True)


def test_a_number_may_be_typed_right_before_the_answer() -> None:
    quiet = Quiet()
    quiet.show(0)
    assert not quiet.eats(1.5, types=False, answers=False)
    assert press(quiet, "y", 1.6)


def test_what_changed_on_the_screen_waits_again_and_a_covered_window_eats_again() -> None:
    quiet = Quiet()
    quiet.show(0)
    assert press(quiet, "y", 2)
    quiet.show(2, 1.5)
    assert not press(quiet, "y", 3.4)
    assert press(quiet, "y", 4.5)
    quiet.restart(5)
    assert quiet.eats(5.5, types=False, answers=False)
    assert press(quiet, "y", 6.6)
