# SPDX-License-Identifier: MIT
"""Fixtures of the places where the packaged service runs: its sandbox is in nobody's way."""
from pathlib import Path

import pytest

from .units import SERVICE, systemctl

_STRICT = Path(f"/run/systemd/system/{SERVICE}.d/strict.conf")


@pytest.fixture(scope="session", autouse=True)
def strict():
    """A system call that the filter does not know ends the daemon; by itself the unit would let it fail."""
    _STRICT.parent.mkdir(parents=True, exist_ok=True)
    _STRICT.write_text("[Service]\nSystemCallErrorNumber=kill\n")
    systemctl("daemon-reload")
    yield
    _STRICT.unlink()
    systemctl("daemon-reload")


@pytest.fixture(autouse=True)
def nothing_is_filtered(journal):
    yield
    killed = [entry["MESSAGE"] for entry in journal.entries(_PID=1, UNIT=SERVICE) if "SYS" in entry["MESSAGE"]]
    assert not killed, "the system call filter is in the way"
