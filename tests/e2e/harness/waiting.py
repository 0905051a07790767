# SPDX-License-Identifier: MIT
"""Waiting for what a user could see, with a deadline."""
import time

DEADLINE = 30.0  # generous: sanitizer builds on a busy machine
_STEP = 0.01


def eventually(condition, what, deadline=DEADLINE):
    """Returns the first true value of condition(); fails with `what` (text, or a function that makes it) at the deadline."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline:.0f} s: {what() if callable(what) else what}")
        time.sleep(_STEP)
