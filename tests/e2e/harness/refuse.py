# SPDX-License-Identifier: MIT
"""A kernel that refuses system calls, by strace(1)."""
import contextlib
import shutil
import signal
import subprocess

import pytest


@contextlib.contextmanager
def refused(tid, call, error, after=0):
    """One thread's calls of this name fail with this error, after so many that are done. Skips the test where tracing is not
    allowed."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    tracer = subprocess.Popen(["strace", "--attach", str(tid), f"--trace={call}",
                               f"--inject={call}:error={error}:when={after + 1}+"], stderr=subprocess.PIPE, text=True)
    try:
        said = tracer.stderr.readline()
        if "attached" not in said:
            pytest.skip(f"no system call can be refused here: {said.strip()}")
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.communicate()
