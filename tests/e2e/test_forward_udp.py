# SPDX-License-Identifier: MIT
"""Target forward over UDP: sessions, what they carry, how they end."""
import contextlib
import os
import random
import signal
import socket
import threading
import time

import pytest

from harness.bounds import Bystander
from harness.daemon import is_sanitized
from harness.datagrams import FastClient, stopped
from harness.relay import text_of
from harness.sockets import address_of, open_socket, udp_client
from harness.waiting import DEADLINE, eventually

FAMILIES = [("udp4", "127.0.0.1"), ("udp6", "::1"), ("udp46", "127.0.0.1"), ("udp46", "::1")]
ROOM = {"receive_buffer": "4M", "send_buffer": "4M"}
_SO_RCVBUFFORCE = 33


class Echo(threading.Thread):
    """An upstream that sends every datagram back, with `prefix` before it."""

    def __init__(self, sock, prefix=b""):
        super().__init__(daemon=True)
        self.sock, self.sizes, self._prefix = sock, [], prefix
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE if os.geteuid() == 0 else socket.SO_RCVBUF, 4 << 20)
        sock.settimeout(None)
        self.start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                data, peer = self.sock.recvfrom(1 << 16)
                if data == b"stop":
                    return
                self.sizes.append(len(data))
                self.sock.sendto(self._prefix + data, peer)

    def close(self):
        with udp_client(self.sock.getsockname()) as sock:
            sock.send(b"stop")
        self.join(DEADLINE)
        self.sock.close()


@pytest.fixture
def relay_udp(serve, closing):
    """relay_udp("udp4", to=["udp6"], ...): a daemon, and .upstreams, an Echo each."""

    def start(kind, to=("udp4",), **keys):
        upstreams = [closing(Echo(open_socket(kind_), b"%d:" % i if len(to) > 1 else b"")) for i, kind_ in enumerate(to)]
        daemon = serve(kind, target="forward", upstream=[text_of(echo.sock) for echo in upstreams], **keys)
        daemon.upstreams = upstreams
        return daemon

    return start


def closed_port():
    with open_socket("udp4") as sock:
        return sock.getsockname()[1]


def ask(client, data):
    client.send(data)
    return client.recv(1 << 16)


def ask_until(client, data):
    """The first answer; some datagrams may be lost meanwhile."""
    client.settimeout(0.1)

    def answer():
        with contextlib.suppress(TimeoutError, ConnectionError):
            return ask(client, data)
    answered = eventually(answer, "an answer")
    client.settimeout(DEADLINE)
    return answered


# What they carry

@pytest.mark.parametrize("to", ["udp4", "udp6"])
@pytest.mark.parametrize("kind, host", FAMILIES)
def test_sizes(relay_udp, kind, host, to):
    daemon = relay_udp(kind, to=[to], profile=ROOM)
    sizes = [0, 1, 511, 1472, 1473, 9000, 65_507]
    with udp_client(address_of(daemon.listening[0], host)) as client:
        for size in sizes:
            data = random.Random(size).randbytes(size)
            assert ask(client, data) == data
    flow, = daemon.flows()
    assert flow["protocol"] == "udp" and flow["upstream"] == text_of(daemon.upstreams[0].sock)
    assert flow["rx_bytes"] == flow["tx_bytes"] == sum(sizes)
    daemon.wait_counters(rx_datagrams=len(sizes), tx_datagrams=len(sizes), rx_bytes=sum(sizes), tx_bytes=sum(sizes),
                         tx_dropped=0)


@pytest.mark.parametrize("spoken_to", ["127.0.0.1", "127.0.0.2", "127.9.9.9"])
@pytest.mark.parametrize("kind", ["udp4", "udp46"])
def test_answers_come_from_the_address_spoken_to(relay_udp, closing, kind, spoken_to):
    daemon = relay_udp(kind, hosts={"udp4": "0.0.0.0"})
    port = address_of(daemon.listening[0])[1]
    client = closing(udp_client(family=socket.AF_INET))
    for host in (spoken_to, "127.0.0.1", spoken_to):
        client.sendto(b"x", (host, port))
        assert client.recvfrom(64) == (b"x", (host, port))
    assert len(daemon.flows()) == len({spoken_to, "127.0.0.1"})


@pytest.mark.workers
@pytest.mark.parametrize("kind, host", FAMILIES)
@pytest.mark.parametrize("size, count, last", [(64, 64, 1), (1200, 40, 1200), (1472, 44, 7), (16_000, 4, 16_000)])
def test_bursts_keep_their_boundaries(relay_udp, closing, kind, host, size, count, last):
    daemon = relay_udp(kind, profile=ROOM)
    client = closing(FastClient(host))
    payloads = [(b"%06d" % i).ljust(size, b".") for i in range(count - 1)] + [b"z" * last]
    address = address_of(daemon.listening[0], host)
    for _ in range(3):
        client.send_joined(address, payloads)
        assert [reply.payload for reply in client.receive(count)] == payloads
    assert client.nothing_more()
    assert daemon.upstreams[0].sizes == 3 * [len(payload) for payload in payloads]


@pytest.mark.workers
def test_burst_of_many_clients(relay_udp, closing):
    """All of it waits at once, mixed."""
    daemon = relay_udp("udp4", profile=ROOM)
    clients = [closing(udp_client(daemon.address)) for _ in range(40)]
    for _ in range(3):
        with stopped(daemon):
            for i in range(10):
                for number, client in enumerate(clients):
                    client.send(b"%d %d" % (number, i))
        for number, client in enumerate(clients):
            assert [client.recv(64) for _ in range(10)] == [b"%d %d" % (number, i) for i in range(10)]
    daemon.wait_counters(rx_datagrams=1200, tx_datagrams=1200, tx_dropped=0)


@pytest.mark.workers
def test_thousands_of_clients(relay_udp, closing):
    count = 500 if is_sanitized() else 3000
    daemon = relay_udp("udp4", profile=ROOM, max_connections=10_000)
    clients = [closing(udp_client(daemon.address)) for _ in range(count)]
    for turn in range(2):
        for start in range(0, count, 100):
            for number in range(start, min(start + 100, count)):
                clients[number].send(b"%d %d" % (turn, number))
            for number in range(start, min(start + 100, count)):
                assert clients[number].recv(64) == b"%d %d" % (turn, number)
    assert len(daemon.flows()) == count
    row, = daemon.call("Upstreams")["upstreams"]
    assert (row["flows"], row["connects"], row["failures"]) == (count, count, 0)


def test_between_hosts(make_daemon, link, closing):
    """Over a link with an MTU of 1500, where what is too large for it is cut by the kernel, not by us."""
    with link.inside("client"):
        upstream = closing(open_socket("udp4", "10.213.0.2"))
        client = closing(FastClient("10.213.0.2"))
    echo = Echo(upstream)
    make_daemon({"listeners": {"orders": {"target": "forward", "upstream": [text_of(upstream)], **ROOM,
                                          "listen": ["udp:10.213.0.1:7100"]}}}, prefix=link.command("server")).start()
    for size, count in ((1472, 20), (1000, 60), (64, 64)):
        payloads = [(b"%06d" % i).ljust(size, b".") for i in range(count)]
        client.send_joined(("10.213.0.1", 7100), payloads)
        assert [reply.payload for reply in client.receive(count)] == payloads
    for size in (1473, 9000, 60_000):
        client.send(("10.213.0.1", 7100), b"x" * size)
        assert client.receive(1)[0].payload == b"x" * size
    client.send(upstream.getsockname(), b"stop")
    echo.join(DEADLINE)


# How they end

def test_session_timeout(relay_udp):
    daemon = relay_udp("udp4", session_timeout="300ms")
    with udp_client(daemon.address) as client:
        for _ in range(4):
            assert ask(client, b"x") == b"x"
            time.sleep(0.1)
        first, = daemon.flows()
        daemon.wait_flows(0)
        daemon.wait_counters(timeouts=1)
        assert ask(client, b"again") == b"again"
        second, = daemon.flows()
        assert second["id"] != first["id"]


def test_oldest_makes_room(relay_udp, closing):
    daemon = relay_udp("udp4", max_connections=4)
    clients = [closing(udp_client(daemon.address)) for _ in range(6)]
    for client in clients[:4]:
        assert ask(client, b"x") == b"x"
    assert ask(clients[0], b"x") == b"x"
    for client in clients[4:]:
        assert ask(client, b"x") == b"x"
    left = {int(flow["peer"].rsplit(":", 1)[1]) for flow in daemon.flows()}
    assert left == {clients[i].getsockname()[1] for i in (0, 3, 4, 5)}
    daemon.wait_counters(evicted=2)
    for client in clients * 3:
        assert ask(client, b"y") == b"y"
    assert len(daemon.flows()) == 4


def test_limit_per_source(relay_udp, closing):
    daemon = relay_udp("udp4", max_connections_per_source=2, session_timeout="1m")
    clients = [closing(udp_client(daemon.address)) for _ in range(3)]
    for client in clients[:2]:
        assert ask(client, b"x") == b"x"
    clients[2].send(b"x")
    daemon.wait_counters(refused_source=1)
    assert ask(clients[0], b"y") == b"y"
    flow = next(f for f in daemon.flows() if f["peer"].endswith(f":{clients[0].getsockname()[1]}"))
    daemon.call("Close", flow=flow["id"])
    daemon.wait_flows(1)
    assert ask(clients[2], b"z") == b"z"


def test_drain_does_not_wait_for_sessions(relay_udp):
    daemon = relay_udp("udp4", daemon={"drain_timeout": "25s"})
    with udp_client(daemon.address) as client:
        assert ask(client, b"x") == b"x"
        began = time.monotonic()
        daemon.signal(signal.SIGTERM)
        assert daemon.wait_exit() == 0
        assert time.monotonic() - began < 20


def test_reload_keeps_sessions_and_counters(relay_udp, closing):
    daemon = relay_udp("udp4")
    other = closing(Echo(open_socket("udp4"), b"other:"))
    with udp_client(daemon.address) as client, udp_client(daemon.address) as late:
        assert ask(client, b"x") == b"x"
        old, new = text_of(daemon.upstreams[0].sock), text_of(other.sock)
        daemon.write({"listeners": {"orders": {"target": "forward", "upstream": [new, old], "balance": "first"}}})
        daemon.call("Reload")
        assert ask(late, b"x") == b"other:x"
        assert ask(client, b"y") == b"y"
        rows = {row["upstream"]: row for row in daemon.call("Upstreams")["upstreams"]}
        assert rows[old]["tx_bytes"] == rows[old]["rx_bytes"] == 2 and rows[new]["flows"] == 1
        daemon.wait_counters(rx_datagrams=3, tx_datagrams=3)


# Upstreams that are not there

def test_refused_by_the_first_upstream(relay_udp, closing, serve):
    """It is put aside, and the others have its sessions."""
    echo = closing(Echo(open_socket("udp4")))
    dead = f"udp:127.0.0.1:{closed_port()}"
    daemon = serve("udp4", target="forward", upstream=[dead, text_of(echo.sock)], balance="first", max_failures=3,
                   retry_after="1h")
    for _ in range(5):
        with udp_client(daemon.address) as client:
            assert ask_until(client, b"x") == b"x"
    daemon.wait_log(f"{dead} is put aside after 3 failures: Connection refused")
    with udp_client(daemon.address) as client:
        assert ask(client, b"y") == b"y"
    rows = {row["upstream"]: row for row in daemon.call("Upstreams")["upstreams"]}
    assert rows[dead]["state"] == "aside" and rows[dead]["failures"] >= 3
    assert daemon.stats()["counters"]["icmp_errors"] >= 3


def test_only_upstream_comes_back(closing, serve):
    port = closed_port()
    daemon = serve("udp4", target="forward", upstream=[f"udp:127.0.0.1:{port}"], max_failures=1, retry_after="100ms")
    with udp_client(daemon.address) as client:
        client.send(b"x")
        daemon.wait_log("is put aside")
        closing(Echo(open_socket("udp4", port=port)))
        assert ask_until(client, b"x") == b"x"
        daemon.wait_log("is back")
    assert len(daemon.flows()) == 1


def test_silent_upstream_that_does_not_refuse_is_up(closing, serve):
    """As a log server is."""
    port = closed_port()
    daemon = serve("udp4", target="forward", upstream=[f"udp:127.0.0.1:{port}"], max_failures=1, retry_after="1h")
    with udp_client(daemon.address) as client:
        client.send(b"x")
        daemon.wait_log("is put aside")
        silent = closing(open_socket("udp4", port=port))

        def is_up():
            client.send(b"x")
            return daemon.call("Upstreams")["upstreams"][0]["state"] == "up"
        eventually(is_up, "up")
        assert silent.recv(64) == b"x"


def test_refusals_cost_nothing(serve):
    """A dead upstream, clients that go on and on: nothing spins, nothing grows, others are served."""
    daemon = serve("udp4", target="forward", upstream=[f"udp:127.0.0.1:{closed_port()}"], beside=True)
    with contextlib.closing(Bystander(daemon)) as bystander:
        for _ in range(200):
            with udp_client(daemon.address) as client:
                for _ in range(5):
                    client.send(b"x" * 100)
        bystander.assert_served()
        bystander.assert_quiet(0.5)
        bystander.assert_grown_below(16)
