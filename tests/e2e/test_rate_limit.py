# SPDX-License-Identifier: MIT
"""rate_limit, rate_limit_per_source and rate_limit_per_flow. What passed is compared with what the time that it took allows, so
that a slow machine makes a test slower, not wrong."""
import contextlib
import random
import signal
import socket
import threading
import time

import pytest

from harness.config import one_listener
from harness.sockets import address_of, connect, open_socket, read_exactly, read_to_end, reset, udp_client
from harness.waiting import eventually

pytestmark = pytest.mark.workers

READ = 65536  # io_buffer: by what the flows of a second worker may exceed a burst that all share


class Budget:
    """What a limit allows since now."""

    def __init__(self, per_sec, burst):
        self.per_sec, self.burst, self.since = per_sec, burst, time.monotonic()

    def most(self):
        return self.burst + self.per_sec * (time.monotonic() - self.since)


def received(daemon):
    return daemon.stats()["counters"]["rx_bytes"]


def flow_bytes(daemon):
    return [flow["rx_bytes"] for flow in daemon.flows()]


def sends(client, data):
    """Sends in a thread of its own; what cannot be sent any more when the socket is closed is no error."""
    def run():
        try:
            client.sendall(data)
        except OSError:
            pass
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def watch(value, budget, until):
    """Looks at a value until it is reached: it never exceeds the budget."""
    while (now := value()) < until:
        assert now <= budget.most()
        time.sleep(0.02)
    assert until <= now <= budget.most()


@pytest.fixture
def echo_upstream(closing):
    """tcp:ADDRESS of a server that echoes."""
    server = closing(open_socket("tcp4"))

    def echo(sock):
        with sock, contextlib.suppress(OSError):
            while data := sock.recv(65536):
                sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)

    def run():
        try:
            while True:
                threading.Thread(target=echo, args=(server.accept()[0],), daemon=True).start()
        except OSError:
            pass
    server.settimeout(None)
    server.setblocking(True)
    threading.Thread(target=run, daemon=True).start()
    return "tcp:%s:%d" % address_of(server)[:2]


@pytest.mark.parametrize("setting", ["rate_limit", "rate_limit_per_source", "rate_limit_per_flow"])
def test_tcp_is_shaped(serve, closing, setting):
    daemon = serve("tcp4", target="discard", **{setting: "2Mbit,64K"})
    client = closing(connect(daemon.address))
    budget = Budget(250_000, 65536)
    sends(client, bytes(400_000))
    watch(lambda: received(daemon), budget, 400_000)


@pytest.mark.parametrize("framing", ["chunk", "line"])
def test_nothing_is_lost_or_altered(serve, closing, framing):
    daemon = serve("tcp4", target="echo", framing=framing, rate_limit="4Mbit,16K")
    client = closing(connect(daemon.address))
    data = b"\n".join(b"%d" % random.randrange(10 ** random.randrange(1, 200)) for _ in range(4000)) + b"\n"
    thread = sends(client, data)
    assert read_exactly(client, len(data)) == data
    thread.join()
    client.shutdown(socket.SHUT_WR)
    assert read_to_end(client) == b""


def test_flows_share_the_listener_s_limit_evenly(serve, closing):
    daemon = serve("tcp4", target="discard", rate_limit="8Mbit,64K", daemon={"workers": 2})
    budget = Budget(1_000_000, 65536 + READ)
    for _ in range(7):
        sends(closing(connect(daemon.address)), bytes(3_000_000))
    watch(lambda: received(daemon), budget, 1_500_000)
    each = flow_bytes(daemon)
    assert len(each) == 7
    assert min(each) * 3 > max(each) - 65536, each


def test_each_source_has_its_own(serve, closing):
    daemon = serve("tcp4", target="discard", rate_limit_per_source="2Mbit,64K", daemon={"workers": 2})
    budget = Budget(250_000, 65536 + READ)
    for source in ("127.0.0.5", "127.0.0.5", "127.0.0.6"):
        sends(closing(connect(daemon.address, source=source)), bytes(2_000_000))

    def of(source):
        return sum(flow["rx_bytes"] for flow in daemon.flows() if flow["peer"].startswith(source + ":"))
    watch(lambda: of("127.0.0.5"), budget, 250_000)
    watch(lambda: of("127.0.0.6"), budget, 250_000)


def test_a_read_is_a_payload(serve, closing):
    daemon = serve("tcp4", target="echo", rate_limit_per_flow="50pps,4")
    client = closing(connect(daemon.address))
    budget = Budget(50, 4)
    for n in range(1, 40):
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
        assert n <= budget.most()


@pytest.mark.parametrize("setting", ["rate_limit", "rate_limit_per_source", "rate_limit_per_flow"])
@pytest.mark.parametrize("value", ["off", "800Mbit"])
def test_a_change_lets_the_rest_through(serve, closing, setting, value):
    """What the old limit left to be waited for does not outlast it."""
    daemon = serve("tcp4", target="discard", **{setting: "8Kbit,64K"})
    client = closing(connect(daemon.address))
    budget = Budget(1000, 65536)
    sends(client, bytes(2_000_000))
    watch(lambda: received(daemon), budget, 65536)
    assert daemon.set(settings={setting: value})["flows"] == 1
    assert daemon.value(setting) == (value, "listener (runtime)")
    eventually(lambda: received(daemon) == 2_000_000, "the rest arrives")
    daemon.set(settings={setting: "8Kbit,64K"})
    budget = Budget(1000, 65536)
    before = received(daemon)
    sends(client, bytes(2_000_000))
    watch(lambda: received(daemon) - before, budget, 0)


def test_one_flow_may_have_another_limit(serve, closing):
    daemon = serve("tcp4", target="discard", rate_limit_per_flow="8Kbit,16K")
    slow, fast = (closing(connect(daemon.address)) for _ in range(2))
    port = fast.getsockname()[1]
    flow = next(f for f in daemon.wait_flows(2) if f["peer"].endswith(f":{port}"))
    budget = Budget(1000, 16384)
    for client in (slow, fast):
        sends(client, bytes(1_000_000))
    daemon.set(settings={"rate_limit_per_flow": "off"}, flow=flow["id"])
    eventually(lambda: max(flow_bytes(daemon)) == 1_000_000, "the flow without a limit has sent all")
    assert min(flow_bytes(daemon)) <= budget.most()


def cpu_ticks(daemon):
    with open(f"/proc/{daemon.process.pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def test_a_reset_while_it_waits_costs_nothing(serve, closing):
    daemon = serve("tcp4", target="discard", rate_limit="8Kbit,1K")
    client = connect(daemon.address)
    client.sendall(bytes(20_000))
    eventually(lambda: received(daemon) >= 1024, "the burst is used up")
    reset(client)
    before = cpu_ticks(daemon)
    time.sleep(1)
    assert cpu_ticks(daemon) - before < 50, "of 100 ticks"
    daemon.set(settings={"rate_limit": "off"})
    daemon.wait_flows(0)


def test_a_stop_does_not_wait_for_tokens(serve, closing):
    daemon = serve("tcp4", target="echo", rate_limit="8Kbit,1K")
    client = closing(connect(daemon.address))
    client.sendall(bytes(20_000))
    eventually(lambda: received(daemon) >= 1024, "the burst is used up")
    daemon.signal(signal.SIGTERM)
    assert daemon.wait_exit() == 0


def test_flows_that_end_leave_their_turn_to_others(serve, closing):
    daemon = serve("tcp4", target="discard", rate_limit="80Kbit,64K")
    crowd = [connect(daemon.address) for _ in range(100)]
    for client in crowd:
        client.sendall(bytes(8192))
    eventually(lambda: received(daemon) >= 65536 - 1024, "the burst is used up")
    for client in crowd:
        reset(client)
    client = closing(connect(daemon.address))
    client.sendall(b"hello")
    daemon.set(settings={"rate_limit": "80Mbit"})
    eventually(lambda: flow_bytes(daemon) == [5], "only the newest is left, and is served")


# ---- UDP ----

def exchange(daemon, client, count, size=100):
    for _ in range(count):
        client.send(bytes(size))
    eventually(lambda: daemon.stats()["counters"]["rx_datagrams"] + daemon.stats()["counters"]["kernel_drops"] >= count,
               "all have been received")


@pytest.mark.parametrize("setting", ["rate_limit", "rate_limit_per_source"])
@pytest.mark.parametrize("value, per_sec, burst", [("10pps,20", 10, 20), ("8Kbit,2K", 10, 20.48)])
def test_udp_over_the_limit_is_dropped_and_counted(serve, closing, setting, value, per_sec, burst):
    daemon = serve("udp4", target="ack", **{setting: value})
    client = closing(udp_client(daemon.address))
    budget = Budget(per_sec, burst)
    exchange(daemon, client, 200)
    counters = daemon.stats()["counters"]
    assert int(burst) <= counters["payloads"] <= budget.most()
    assert counters["payloads"] + counters["rate_limited"] == counters["rx_datagrams"]
    for _ in range(counters["payloads"]):
        assert client.recv(64) == b"Received"
    daemon.set(settings={setting: "off"})
    before = daemon.stats()["counters"]["payloads"]
    for _ in range(50):
        client.send(b"x")
        assert client.recv(64) == b"Received"
    assert daemon.stats()["counters"]["payloads"] == before + 50


def test_each_udp_source_has_its_own(serve, closing):
    daemon = serve("udp4", target="ack", rate_limit_per_source="1pps,10")
    budget = Budget(1, 10)
    for host in ("127.0.0.5", "127.0.0.6", "127.0.0.7"):
        client = closing(udp_client())
        client.bind((host, 0))
        client.connect(daemon.address)
        for _ in range(100):
            client.send(b"x")
        for _ in range(10):
            assert client.recv(64) == b"Received"
    daemon.wait_counters(rx_datagrams=300)
    assert 30 <= daemon.stats()["counters"]["payloads"] <= 3 * budget.most()


def test_a_flow_s_limit_means_nothing_without_flows(serve, closing):
    daemon = serve("udp4", target="ack", rate_limit_per_flow="1pps,1")
    client = closing(udp_client(daemon.address))
    for _ in range(20):
        client.send(b"x")
        assert client.recv(64) == b"Received"


# ---- target forward ----

@pytest.mark.parametrize("setting", ["rate_limit", "rate_limit_per_source", "rate_limit_per_flow"])
def test_a_relay_is_shaped_both_ways(serve, closing, echo_upstream, setting):
    daemon = serve("tcp4", target="forward", upstream=[echo_upstream], **{setting: "8Mbit,64K"})
    client = closing(connect(daemon.address))
    budget = Budget(1_000_000, 65536)
    data = random.randbytes(700_000)
    thread = sends(client, data)
    got = bytearray()
    while len(got) < len(data):
        got += client.recv(65536)
        assert 2 * len(got) <= budget.most(), "each byte came in twice, from the client and from the upstream"
    assert got == data
    thread.join()
    client.shutdown(socket.SHUT_WR)
    assert read_to_end(client) == b""
    daemon.wait_flows(0)


def test_a_relay_goes_on_when_the_limit_goes(serve, closing, echo_upstream):
    daemon = serve("tcp4", target="forward", upstream=[echo_upstream], rate_limit="8Kbit,64K")
    client = closing(connect(daemon.address))
    data = random.randbytes(3_000_000)
    sends(client, data)
    eventually(lambda: received(daemon) >= 16384, "some has passed")
    daemon.set(settings={"rate_limit": "off"})
    assert read_exactly(client, len(data)) == data


def test_whom_a_proxy_header_names_is_the_source(serve, closing, echo_upstream):
    daemon = serve("tcp4", target="forward", upstream=[echo_upstream], accept_proxy=["127.0.0.0/8"],
                   rate_limit_per_source="8Kbit,1K", daemon={"workers": 1})
    budget = Budget(1000, 1024)
    for n in range(3):
        client = closing(connect(daemon.address))
        client.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.9 %d 80\r\n" % (1000 + n) + bytes(5000))
    daemon.wait_flows(3)
    eventually(lambda: sum(flow_bytes(daemon)) > 0, "some has passed")
    assert sum(flow_bytes(daemon)) <= budget.most()
    daemon.set(settings={"rate_limit_per_source": "off"})
    assert read_exactly(client, 5000) == bytes(5000)


def test_an_upstream_s_last_words_are_delivered_at_once(serve, closing):
    """A leg that fails does not wait for tokens."""
    server = closing(open_socket("tcp4"))
    server.setblocking(True)
    daemon = serve("tcp4", target="forward", upstream=["tcp:%s:%d" % address_of(server)[:2]], rate_limit="80Kbit,8K")
    client = closing(connect(daemon.address))
    upstream = server.accept()[0]
    upstream.sendall(bytes(20_000))
    assert read_exactly(client, 8192) == bytes(8192)
    reset(upstream)
    got = 8192
    try:
        while data := client.recv(65536):
            got += len(data)
    except ConnectionResetError:
        pass
    assert got == 20_000
    daemon.wait_flows(0)


def test_forwarded_datagrams_are_policed_both_ways(serve, closing):
    upstream = closing(open_socket("udp4"))
    upstream.setblocking(True)
    upstream.settimeout(10)
    daemon = serve("udp4", target="forward", upstream=["udp:%s:%d" % address_of(upstream)[:2]],
                   rate_limit_per_flow="1pps,20")
    client = closing(udp_client(daemon.address))
    budget = Budget(1, 20)
    for _ in range(15):
        client.send(b"up")
    for _ in range(15):
        assert upstream.recvfrom(64)[0] == b"up"
    session = None
    for _ in range(100):
        client.send(b"up")
    daemon.wait_counters(rx_datagrams=115)
    passed = 115 - daemon.stats()["counters"]["rate_limited"]
    assert 20 <= passed <= budget.most()
    for _ in range(passed - 15):
        session = upstream.recvfrom(64)[1]
    for _ in range(100):
        upstream.sendto(b"down", session)
    eventually(lambda: daemon.flows()[0]["upstream_leg"]["rx_bytes"] == 400, "they have been received")
    counters = daemon.stats()["counters"]
    assert 215 - counters["rate_limited"] <= budget.most()
    daemon.set(settings={"rate_limit_per_flow": "off"})
    client.send(b"up")
    assert upstream.recvfrom(64)[0] == b"up"


def test_what_is_wrong_is_told(make_daemon):
    daemon = make_daemon(one_listener("echo", rate_limit="50Mbit,64", listen=["tcp:127.0.0.1:0"]))
    with pytest.raises(Exception):
        daemon.start()
    assert any("is not RATE or RATE,BURST" in line for line in daemon.log())
