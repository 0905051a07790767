# SPDX-License-Identifier: MIT
"""Waiting for what a user could see, with a deadline."""
import time

DEADLINE = 30.0  # generous: sanitizer builds on a busy machine
_STEPS = (0.01, 0.1)  # from the first one on ever longer: looking costs the machine that is waited for


def eventually(condition, what, deadline=DEADLINE):
    """Returns the first true value of condition(); fails with `what` (text, or a function that makes it) at the deadline."""
    end = time.monotonic() + deadline
    step, longest = _STEPS
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline:.0f} s: {what() if callable(what) else what}")
        time.sleep(step)
        step = min(step * 1.25, longest)
