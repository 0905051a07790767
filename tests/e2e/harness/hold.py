# SPDX-License-Identifier: MIT
"""Threads of a process that are held still: one alone, as ptrace(2) can, or all, by SIGSTOP."""
import contextlib
import ctypes
import os
from pathlib import Path

import pytest

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
_LIBC.ptrace.restype = ctypes.c_long
_SEIZE, _INTERRUPT, _DETACH = 0x4206, 0x4207, 17
_WALL = 0x40000000


def threads(pid, prefix):
    """Ids of the threads whose names begin so."""
    return [int(task.name) for task in sorted(Path(f"/proc/{pid}/task").iterdir())
            if (task / "comm").read_text().startswith(prefix)]


def is_stopped(pid):
    """All threads of it, as SIGSTOP brings about a moment later."""
    return all("\nState:\tT" in (task / "status").read_text() for task in Path(f"/proc/{pid}/task").iterdir())


def _ptrace(request, tid):
    if _LIBC.ptrace(request, tid, None, None) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@contextlib.contextmanager
def held(tid):
    """Skips the test where tracing is not allowed. The process may be killed meanwhile."""
    try:
        _ptrace(_SEIZE, tid)
    except PermissionError as error:
        pytest.skip(f"no thread can be held here: {error.strerror}")
    _ptrace(_INTERRUPT, tid)
    os.waitpid(tid, _WALL)
    try:
        yield
    finally:
        try:
            _ptrace(_DETACH, tid)
        except ProcessLookupError:
            os.waitpid(tid, _WALL)  # killed; its process does not end before its tracer has taken note
