# SPDX-License-Identifier: MIT
"""Restarts and crashes: nobody is refused, nothing is lost, no runtime change outlives the run."""
import subprocess
import threading
import time

import pytest

from harness.hold import held, threads
from harness.kinds import KINDS
from harness.sockets import ask_tcp, connect, read_exactly, udp_client
from harness.waiting import eventually
from machine.command import ctl, ctl_json
from machine.kernel import socket_options
from machine.units import DEFAULT, SERVICE, SOCKETS, is_active, pid, show, systemctl, wait_restarted

ORDERS = ("127.0.0.1", 7000)
QUEUED = 50


def wait_draining():
    eventually(lambda: ctl_json("status")["state"] == "draining", "the drain")


def test_clients_that_queue_during_a_restart_are_served(admin, closing):
    """The old daemon drains and accepts nobody; those who come meanwhile, TCP and UDP, are the new one's."""
    admin.daemon(drain_timeout="60s")
    admin.listener("orders", "ListenStream=127.0.0.1:7000", "ListenDatagram=127.0.0.1:7000", target="echo")
    admin.start()
    old = pid()
    last = closing(connect(ORDERS))
    last.sendall(b"last")
    assert read_exactly(last, 4) == b"last"
    systemctl("restart", "--no-block", SERVICE)
    wait_draining()

    clients = [closing(connect(ORDERS)) for _ in range(QUEUED)]
    for i, client in enumerate(clients):
        client.sendall(b"%04d" % i)
    assert pid() == old
    last.close()
    for i, client in enumerate(clients):
        assert read_exactly(client, 4) == b"%04d" % i
    assert wait_restarted(old) != old and show("Result") == "success"


def test_datagrams_during_a_restart_are_answered(admin, closing):
    admin.listener("orders", "ListenDatagram=127.0.0.1:7000", target="echo")
    admin.start()
    client = closing(udp_client(ORDERS))
    restarts = subprocess.Popen(["sh", "-ec", f"for i in 1 2 3 4 5; do systemctl restart {SERVICE}; done"])
    number = 0
    while restarts.poll() is None:
        number += 1
        client.send(b"%08d" % number)
        assert client.recv(64) == b"%08d" % number
    assert restarts.returncode == 0 and number > 5


@pytest.mark.parametrize("name", ["SEGV", "KILL", "ABRT"])
def test_crash_brings_a_new_run_on_the_same_sockets(admin, journal, name):
    admin.start()
    old = pid()
    since = {socket: show("ActiveEnterTimestampMonotonic", socket) for socket in SOCKETS}
    systemctl("kill", f"--signal={name}", "--kill-whom=main", SERVICE)
    with connect(DEFAULT) as client:  # while there is no daemon
        client.sendall(b"x")
        assert read_exactly(client, 8) == b"Received"
    wait_restarted(old)
    assert since == {socket: show("ActiveEnterTimestampMonotonic", socket) for socket in SOCKETS}
    assert show("NRestarts") == "1"


def test_crash_loop_does_not_take_the_sockets(admin):
    """Well over the default start limit."""
    admin.start()
    for _ in range(12):
        old = pid()
        systemctl("kill", "--signal=KILL", SERVICE)
        assert ask_tcp(DEFAULT, b"x") == b"Received"
        wait_restarted(old)
    assert all(is_active(socket) for socket in SOCKETS)


def test_one_stopped_worker_brings_a_watchdog_restart(admin, journal):
    """The main thread is well all the time."""
    admin.daemon(workers=2)
    admin.drop_in("[Service]", "WatchdogSec=2s", "LimitCORE=0")
    admin.start()
    old = pid()
    with held(threads(old, "worker-")[-1]):
        journal.wait_kind("WORKER_STUCK")
        eventually(lambda: show("Result") == "watchdog" or pid() not in (0, old), "the watchdog")
    wait_restarted(old)
    journal.wait(lambda entry: "watchdog" in entry["MESSAGE"].lower(), _PID=1, UNIT=SERVICE)
    assert ask_tcp(DEFAULT, b"x") == b"Received"


# Runtime changes

UNIT_OPTIONS = ("IPTOS=40", "ReceiveBuffer=64K", "SendBuffer=96K", "KeepAlive=yes", "NoDelay=no")
CHANGES = ("dscp=EF", "receive_buffer=256K", "send_buffer=32K", "keepalive=off", "nodelay=true", "ttl=99")
WAYS = {
    "restart": lambda: systemctl("restart", SERVICE),
    "stop": lambda: (systemctl("stop", SERVICE), systemctl("start", SERVICE)),
    "crash": lambda: systemctl("kill", "--signal=SEGV", SERVICE),
    "kill": lambda: systemctl("kill", "--signal=KILL", SERVICE),
}


@pytest.mark.parametrize("way", WAYS)
def test_no_runtime_change_outlives_the_run(admin, journal, way):
    admin.profile("asis", **{change.partition("=")[0]: "inherit" for change in CHANGES})
    admin.listener("orders", "ListenStream=127.0.0.1:7000", "ListenDatagram=127.0.0.1:7000", *UNIT_OPTIONS,
                   profile="asis", target="echo")
    admin.start()
    before = socket_options(7000)
    assert before["tcp"].tos == before["udp"].tos == 40, "inherit leaves what the socket unit gave"
    ctl("set", "orders", *CHANGES)
    changed = socket_options(7000)
    assert all(changed[protocol] != before[protocol] for protocol in before)

    old = pid()
    WAYS[way]()
    wait_restarted(old)
    assert socket_options(7000) == before
    assert ctl_json("get", "orders", "dscp")["value"] == "inherit"
    for protocol in before:
        journal.wait(lambda entry: f"{protocol}:127.0.0.1:7000" in entry["MESSAGE"], MESSAGE_ID=KINDS["SOCKET_RESTORED"],
                     SOCKQ_LISTENER="orders")


def test_baselines_do_not_pile_up_in_the_store(admin):
    admin.start()
    for _ in range(3):
        ctl("set", "default-tcp", "dscp=EF")
        systemctl("restart", SERVICE)
    assert show("NFileDescriptorStore") == "1"


# Many restarts

RESTARTS = 200


def test_many_restarts_under_traffic(admin, journal):
    """Every connection is accepted by the kernel and served by one run or the next; one that a run has taken and has to
    close when its time is up may be cut, in order."""
    admin.daemon(drain_timeout="100ms")
    admin.start()
    refused, served, cut, stop = [], [], [], threading.Event()

    def traffic():
        while not stop.is_set():
            try:
                client = connect(DEFAULT)
            except OSError as error:
                refused.append(error)
                continue
            with client:
                try:
                    client.sendall(b"x")
                    (served if client.recv(64) == b"Received" else cut).append(1)
                except OSError as error:
                    cut.append(error)
            time.sleep(0.002)  # a few hundred a second of each leave the machine time to restart

    clients = [threading.Thread(target=traffic) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        for _ in range(RESTARTS):
            systemctl("restart", SERVICE)
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert not refused and len(served) > RESTARTS
    assert not cut, "each of these asks at once and is answered within the drain"
    assert is_active() and all(is_active(socket) for socket in SOCKETS)
    assert journal.entries("--priority=err") == []
    assert len(journal.kind("DAEMON_READY")) == RESTARTS + 1
