# SPDX-License-Identifier: MIT
"""How the units are locked in, as systemd-analyze judges them, and that the daemon lives with it."""
import re
from pathlib import Path

import pytest

from harness.sockets import ask_tcp, ask_udp
from machine.command import ctl_json, must, run
from machine.units import DEFAULT, EXAMPLES, SERVICE, SOCKETS, pid, show

# drop-in: the highest exposure that is right for it
EXPOSURE = {None: 1.2, "terminate-only.conf": 0.8, "net-admin.conf": 1.5}


@pytest.mark.parametrize("drop_in", EXPOSURE)
def test_exposure(admin, drop_in):
    if drop_in:
        admin.drop_in(EXAMPLES.joinpath(drop_in).read_text())
    admin.start()
    judged = must("systemd-analyze", "--no-pager", "security", SERVICE)
    assert float(re.search(r"Overall exposure level for \S+: ([\d.]+)", judged).group(1)) <= EXPOSURE[drop_in], judged


def test_terminate_only_serves_and_reaches_nobody(admin):
    admin.drop_in(EXAMPLES.joinpath("terminate-only.conf").read_text())
    admin.sockets()
    assert ask_tcp(DEFAULT, b"x") == ask_udp(DEFAULT, b"x") == b"Received"
    assert ctl_json("status")["state"] == "serving"
    links = must("nsenter", f"--target={pid()}", "--net", "ip", "--brief", "link").splitlines()
    assert [line.split()[0] for line in links] == ["lo"]


VERIFY = ("systemd-analyze", "verify", "--man=no")  # there is no man here


def test_verify_has_nothing_to_say():
    done = run(*VERIFY, SERVICE, *SOCKETS)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_man_pages_that_units_name_are_there():
    pages = re.findall(r"man:([\w.-]+)\((\d)\)", "".join(show("Documentation", unit) for unit in (SERVICE, *SOCKETS)))
    assert pages
    for name, section in pages:
        assert Path(f"/usr/share/man/man{section}/{name}.{section}.gz").exists()


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.socket")), ids=lambda path: path.name)
def test_verify_of_examples(admin, example):
    path = admin.write(f"/run/systemd/system/{example.name}", example.read_text())
    done = run(*VERIFY, path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
