# SPDX-License-Identifier: MIT
"""sockq as a Debian package under a real systemd. tools/system makes the machines; each folder here is a place:

build    a machine with the compiler, not booted, after the packages were made
package  a booted machine that knows nothing of sockq; the packages are in /out
broken   a booted machine with sockq and bad.conf among its drop-ins from the first moment on
service  a booted machine with sockq
restart  another one, whose daemon comes and goes; debian/tests runs these two

As root, and not on a machine that is used for anything else."""
import contextlib
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

from machine.admin import Admin  # noqa: E402
from machine.command import Background, run  # noqa: E402
from machine.journal import Journal  # noqa: E402


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """The journal of the time of a test that failed, beside its traceback."""
    report = (yield).get_result()
    if report.failed:
        text = run("journalctl", "--quiet", "--no-pager", f"--since=@{call.start:.3f}").stdout
        report.sections.append(("journal", text[-8000:]))


@pytest.fixture
def admin():
    made = Admin()
    yield made
    made.close()


@pytest.fixture
def journal():
    """What is written from now on."""
    return Journal()


@pytest.fixture
def closing():
    """closing(x) returns x and closes it when the test is over."""
    with contextlib.ExitStack() as stack:
        yield lambda what: stack.enter_context(contextlib.closing(what))


@pytest.fixture
def background():
    """background(command...) runs while the test does; .lines is what it has printed."""
    with contextlib.ExitStack() as stack:
        yield lambda *command: stack.enter_context(contextlib.closing(Background(*command)))
