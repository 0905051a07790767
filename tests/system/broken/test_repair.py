# SPDX-License-Identifier: MIT
"""A machine that was booted with a fault in the configuration; repairing the file is all that it takes."""
from pathlib import Path

from harness.sockets import connect, read_exactly, udp_client
from harness.waiting import eventually
from machine.command import ctl_json, must
from machine.units import DEFAULT, SERVICE, SOCKETS, is_active, show, status, wait_active

BAD = Path("/etc/sockq/sockqd.conf.d/bad.conf")
TRIES = 8  # more than systemd's default start limit of 5 in 10 seconds


def test_repaired_file_is_served_without_reboot_or_reset(closing):
    assert not is_active() and all(is_active(socket) for socket in SOCKETS), status()
    said = must("journalctl", "--boot", "--no-pager", "--unit", SERVICE)
    assert f"{BAD}:3: listeners.default-tcp.dscp: " in said

    # They wait, and see nothing of it but the time it takes.
    clients = [closing(connect(DEFAULT)) for _ in range(5)]
    datagrams = closing(udp_client(DEFAULT))
    for client in (*clients, datagrams):
        client.send(b"x")
    eventually(lambda: int(show("NRestarts")) >= TRIES, lambda: f"many starts\n{status()}")
    assert all(is_active(socket) for socket in SOCKETS)

    BAD.unlink()
    wait_active()
    for client in clients:
        assert read_exactly(client, 8) == b"Received"
    assert datagrams.recv(64) == b"Received"
    assert ctl_json("status")["state"] == "serving"
