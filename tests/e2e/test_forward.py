# SPDX-License-Identifier: MIT
"""Target forward over TCP: what arrives, how flows end, what a slow or dead side means for the other one."""
import contextlib
import errno
import random
import resource
import signal
import socket
import struct
import threading

import pytest

from harness.bounds import Bystander
from harness.daemon import is_sanitized
from harness.datagrams import stopped
from harness.relay import accept, exchange, open_upstream, text_of
from harness.sockets import connect, is_turned_away, read_exactly, read_to_end, reset, send_until_stuck
from harness.waiting import DEADLINE, eventually

MEGABYTE = 1 << 20
BLOCK = random.Random(5).randbytes(MEGABYTE)
SIZE = (8 if is_sanitized() else 24) * MEGABYTE


def assert_reset(sock):
    with pytest.raises(ConnectionResetError):
        while sock.recv(1 << 16):
            pass


def read_until_reset(sock):
    """What comes before the reset."""
    data = bytearray()
    with pytest.raises(ConnectionResetError):
        while piece := sock.recv(1 << 16):
            data += piece
    return bytes(data)


# What arrives

@pytest.mark.workers
@pytest.mark.parametrize("kind, to", [("tcp4", "tcp4"), ("tcp6", "tcp6"), ("tcp46", "tcp4"), ("tcp4", "tcp6"), ("tcp4", "unix")])
def test_both_ways_at_once(relay, kind, to):
    made = relay(kind, to=[to])
    pair = made.pair()
    exchange(pair.client, pair.server, SIZE)
    made.daemon.wait_flows(0)
    counters = made.daemon.stats()["counters"]
    assert (counters["rx_bytes"], counters["tx_bytes"], counters["lost_bytes"]) == (SIZE, SIZE, 0)
    row, = made.daemon.call("Upstreams")["upstreams"]
    assert (row["connects"], row["tx_bytes"], row["rx_bytes"], row["flows"]) == (1, SIZE, SIZE, 0)


def test_server_speaks_first(relay):
    pair = relay("tcp4").pair()
    pair.server.sendall(b"220 ready\r\n")
    assert read_exactly(pair.client, 11) == b"220 ready\r\n"


@pytest.mark.parametrize("to", ["tcp4", "unix"])
@pytest.mark.parametrize("first", ["client", "server"])
def test_half_close_leaves_the_other_direction_open(relay, first, to):
    pair = relay("tcp4", to=[to]).pair()
    one, other = (pair.client, pair.server) if first == "client" else (pair.server, pair.client)
    one.sendall(b"all I have")
    one.shutdown(socket.SHUT_WR)
    assert read_to_end(other) == b"all I have"
    other.sendall(BLOCK)
    other.shutdown(socket.SHUT_WR)
    assert read_to_end(one) == BLOCK


def test_relay_of_a_relay(relay, closing, serve):
    inner = relay("tcp4")
    outer = serve("tcp4", target="forward", upstream=[text_of(inner.daemon.listening[0])])
    pair = inner.pair(outer.address)
    exchange(pair.client, pair.server, SIZE)


@pytest.mark.workers
@pytest.mark.parametrize("to", ["tcp4", "unix"])
def test_a_thousand_connections_at_once(relay, closing, to):
    made = relay("tcp4", to=[to], backlog=16 if to == "unix" else 4096)
    count = 200 if is_sanitized() else 1000
    clients = [closing(connect(made.daemon.address)) for _ in range(count)]
    for i, client in enumerate(clients):
        client.sendall(b"%04d" % i)
    numbers = set()
    for _ in clients:
        server = closing(accept(made.upstreams[0]))
        number = read_exactly(server, 4)
        numbers.add(number)
        server.sendall(number)
    assert len(numbers) == count
    for i, client in enumerate(clients):
        assert read_exactly(client, 4) == b"%04d" % i
    assert made.daemon.stats()["counters"]["upstream_errors"] == 0


# How flows end

@pytest.mark.parametrize("first", ["client", "server"])
def test_reset_is_passed_on(relay, first):
    made = relay("tcp4")
    pair = made.pair()
    pair.client.sendall(b"x")
    read_exactly(pair.server, 1)
    reset(getattr(pair, first))
    assert_reset(pair.server if first == "client" else pair.client)
    made.daemon.wait_flows(0)


def test_reset_after_half_close_is_passed_on(relay):
    made = relay("tcp4")
    pair = made.pair()
    pair.client.shutdown(socket.SHUT_WR)
    assert read_to_end(pair.server) == b""
    reset(pair.client)
    made.daemon.wait_flows(0)
    assert pair.server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) in (errno.EPIPE, errno.ECONNRESET)


@pytest.mark.parametrize("first", ["client", "server"])
def test_reset_behind_the_last_of_many_small_pieces(relay, first):
    """Read in one go with them, it is not taken for an end in order."""
    made = relay("tcp4")
    pair = made.pair(options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)])
    one, other = (pair.client, pair.server) if first == "client" else (pair.server, pair.client)
    for _ in range(40):
        one.sendall(b"small")
        assert read_exactly(other, 5) == b"small"
    with stopped(made.daemon):
        one.sendall(b"last")
        reset(one)
    assert read_until_reset(other) == b"last"


@pytest.mark.parametrize("talks", [False, True], ids=["silent", "talking"])
@pytest.mark.parametrize("first", ["client", "server"])
def test_slow_side_gets_what_was_sent_before_the_reset(relay, first, talks):
    """Also if it sends to the side that is gone."""
    made = relay("tcp4", client_leg={"send_buffer": "64K"}, upstream_leg={"send_buffer": "64K"})
    pair = made.pair()
    one, other = (pair.client, pair.server) if first == "client" else (pair.server, pair.client)
    other.sendall(b"x")
    read_exactly(one, 1)
    sent = send_until_stuck(one, BLOCK, 64 * MEGABYTE)
    flow, = made.daemon.flows()
    arrived = flow["client_leg" if first == "client" else "upstream_leg"]["rx_bytes"]
    assert arrived > 64 * 1024 and sent >= arrived
    reset(one)
    if talks:
        other.sendall(b"are you there?")
    received = read_until_reset(other)
    assert len(received) >= arrived
    assert received == (BLOCK * (len(received) // MEGABYTE + 1))[:len(received)]


@pytest.mark.parametrize("first", ["client", "server"])
def test_dead_side_costs_nothing_while_the_other_is_slow(relay, first):
    """The failed leg would signal without end; so would one that is shut both ways."""
    made = relay("tcp4", beside=True)
    with contextlib.closing(Bystander(made.daemon)) as bystander:
        pair = made.pair()
        one, other = (pair.client, pair.server) if first == "client" else (pair.server, pair.client)
        send_until_stuck(one, BLOCK, 64 * MEGABYTE)
        reset(one)
        bystander.assert_quiet()
        again = made.pair()
        one, other = (again.client, again.server) if first == "client" else (again.server, again.client)
        other.shutdown(socket.SHUT_WR)
        assert one.recv(1) == b""
        sent = send_until_stuck(one, BLOCK, 64 * MEGABYTE)
        one.setblocking(True)
        one.shutdown(socket.SHUT_WR)
        bystander.assert_quiet()
        assert len(read_to_end(other)) == sent


def test_reader_that_never_reads_stops_the_sender(relay):
    made = relay("tcp4", beside=True)
    with contextlib.closing(Bystander(made.daemon)) as bystander:
        pairs = [made.pair() for _ in range(3)]
        for pair in pairs:
            assert send_until_stuck(pair.client, BLOCK, 256 * MEGABYTE) < 256 * MEGABYTE
            assert send_until_stuck(pair.server, BLOCK, 256 * MEGABYTE) < 256 * MEGABYTE
        bystander.assert_grown_below(24)
        bystander.assert_quiet()
        bystander.assert_served()


def test_close_by_sockqctl(relay):
    made = relay("tcp4")
    pair = made.pair()
    pair.client.sendall(b"before")
    assert read_exactly(pair.server, 6) == b"before"
    done = made.daemon.ctl("close", "orders")
    assert done.status == 0, done.err
    assert read_to_end(pair.client) == read_to_end(pair.server) == b""
    pair.client.close(), pair.server.close()
    made.daemon.wait_flows(0)


def test_drain_at_the_end_lets_flows_finish(relay):
    made = relay("tcp4", daemon={"drain_timeout": "20s"})
    pair = made.pair()
    made.daemon.signal(signal.SIGTERM)
    made.daemon.wait_log("stopping")
    exchange(pair.client, pair.server, MEGABYTE)
    assert made.daemon.wait_exit() == 0


def test_drain_closes_what_does_not_finish(relay):
    made = relay("tcp4", daemon={"drain_timeout": "200ms"})
    pair = made.pair()
    pair.client.sendall(b"before")
    assert read_exactly(pair.server, 6) == b"before"
    made.daemon.signal(signal.SIGTERM)
    assert read_to_end(pair.client) == read_to_end(pair.server) == b""
    pair.client.close(), pair.server.close()
    assert made.daemon.wait_exit() == 0


# Time

def test_idle_timeout(relay):
    made = relay("tcp4", idle_timeout="300ms")
    pair = made.pair()
    assert pair.client.recv(1) == pair.server.recv(1) == b""
    made.daemon.wait_counters(timeouts=1)


def test_half_close_timeout(relay):
    made = relay("tcp4", half_close_timeout="300ms")
    pair, open_ = made.pair(), made.pair()
    pair.client.shutdown(socket.SHUT_WR)
    assert pair.server.recv(1) == b""
    assert pair.client.recv(1) == b""
    made.daemon.wait_counters(timeouts=1)
    for one, other in ((open_.client, open_.server), (open_.server, open_.client)):
        one.sendall(b"still here")
        assert read_exactly(other, 10) == b"still here"


def test_connect_timeout(make_daemon, relay, link, closing):
    """Towards a host that does not answer, the next upstream is tried; with none left, the client is told."""
    blackhole = "tcp:10.213.0.77:9"
    with link.inside("server"):
        upstream = closing(open_upstream("tcp4"))
    listeners = {"orders": {"target": "forward", "upstream": [blackhole, text_of(upstream)], "balance": "first",
                            "connect_timeout": "300ms", "listen": ["tcp:127.0.0.1:7101"]},
                 "lost": {"target": "forward", "upstream": [blackhole], "connect_timeout": "300ms",
                          "listen": ["tcp:127.0.0.1:7102"]}}
    daemon = make_daemon({"listeners": listeners}, prefix=link.command("server")).start()
    with link.inside("server"):
        with connect(("127.0.0.1", 7101)) as client:
            client.sendall(b"x")
            assert read_exactly(closing(accept(upstream)), 1) == b"x"
        with connect(("127.0.0.1", 7102)) as client:
            assert_reset(client)
    daemon.wait_log("tcp:10.213.0.77:9 did not take a flow: .*timed out")
    daemon.wait_counters("lost", upstream_errors=1)


# Upstreams that come and go

def test_failover_in_order(relay, closing):
    made = relay("tcp4", to=["tcp4", "tcp4"], balance="first", max_failures=1, retry_after="300ms")
    made.pair(upstream=0)
    text = text_of(made.upstreams[0])
    address = made.upstreams[0].getsockname()
    made.upstreams[0].close()
    made.pair(upstream=1)
    made.daemon.wait_log(f"{text} is put aside")
    made.pair(upstream=1)
    back = closing(socket.create_server(address))
    back.settimeout(0.1)
    with pytest.raises(TimeoutError):
        back.accept()

    def returned():
        client = closing(connect(made.daemon.address))
        try:
            closing(back.accept()[0])
            return True
        except TimeoutError:
            client.close()
            return False
    eventually(returned, "the first upstream is used again")
    made.daemon.wait_log(f"{text} is back")


def test_nobody_there_is_a_reset(relay):
    made = relay("tcp4")
    made.upstreams[0].close()
    assert is_turned_away(made.daemon.address)
    made.daemon.wait_counters(upstream_errors=1)


@pytest.mark.workers
def test_upstream_dies_and_returns_under_load(relay, closing):
    """Clients see resets meanwhile, never a wrong byte; afterwards all is well."""
    made = relay("tcp4", max_failures=1, retry_after="100ms")
    address = made.upstreams[0].getsockname()
    stop, good, wrong = threading.Event(), [0], []

    def echo(sock):
        with sock, contextlib.suppress(OSError):
            while data := sock.recv(1 << 16):
                sock.sendall(data)

    def serve_on(listening, kept):
        with contextlib.suppress(OSError):
            while True:
                sock = accept(listening)
                kept.append(sock)
                threading.Thread(target=echo, args=(sock,), daemon=True).start()

    def ask(data):
        with connect(made.daemon.address) as sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            answer = read_to_end(sock)
        if answer != data:
            wrong.append((len(data), len(answer)))
        good[0] += 1

    def ask_on(seed):
        rng = random.Random(seed)
        while not stop.is_set():
            try:
                ask(rng.randbytes(rng.randrange(1, 50_000)))
            except TimeoutError as error:
                wrong.append(error)
            except OSError:
                pass

    def one_more():
        before = good[0]
        eventually(lambda: good[0] > before + 50, "answers")

    kept = []
    threading.Thread(target=serve_on, args=(made.upstreams[0], kept), daemon=True).start()
    clients = [threading.Thread(target=ask_on, args=(seed,), daemon=True) for seed in range(6)]
    for client in clients:
        client.start()
    listening = made.upstreams[0]
    for _ in range(3):
        one_more()
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        for sock in kept:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.shutdown(socket.SHUT_RD)  # its thread closes it, by a reset
        kept = []
        listening = closing(socket.create_server(address, backlog=4096))
        listening.settimeout(DEADLINE)
        threading.Thread(target=serve_on, args=(listening, kept), daemon=True).start()
    one_more()
    stop.set()
    for client in clients:
        client.join(DEADLINE)
    listening.shutdown(socket.SHUT_RDWR)
    assert not wrong
    made.daemon.wait_flows(0)


def test_reload_of_upstreams_keeps_flows_and_counters(relay, closing):
    made = relay("tcp4")
    pair = made.pair()
    pair.client.sendall(b"before")
    assert read_exactly(pair.server, 6) == b"before"
    other = closing(open_upstream("tcp4"))
    made.upstreams.append(other)
    old, new = map(text_of, made.upstreams)
    made.daemon.write({"listeners": {"orders": {"target": "forward", "upstream": [new, old], "balance": "first"}}})
    made.daemon.call("Reload")
    made.pair(upstream=1)
    exchange(pair.client, pair.server, MEGABYTE)
    rows = {row["upstream"]: row for row in made.daemon.call("Upstreams")["upstreams"]}
    assert rows[old]["tx_bytes"] == MEGABYTE + 6 and rows[old]["connects"] == rows[new]["connects"] == 1
    assert made.daemon.stats()["counters"]["rx_bytes"] == MEGABYTE + 6


# The engine

def modes(daemon):
    flow, = daemon.flows()
    return flow["to_upstream"], flow["to_client"]


def test_splicing_begins_and_ends_without_loss(relay):
    made = relay("tcp4")
    pair = made.pair()
    for _ in range(2):
        for _ in range(20):
            pair.client.sendall(BLOCK)
            assert read_exactly(pair.server, MEGABYTE) == BLOCK
        up, down = modes(made.daemon)
        assert (up["mode"], down["mode"]) == ("splice", "copy")
        for i in range(40):
            pair.client.sendall(b"small %02d" % i)
            assert read_exactly(pair.server, 8) == b"small %02d" % i
        assert modes(made.daemon)[0]["mode"] == "copy"
    assert modes(made.daemon)[0]["switches"] >= 4
    exchange(pair.client, pair.server, MEGABYTE)


def limit(daemon, what, number):
    old = resource.prlimit(daemon.process.pid, what)
    resource.prlimit(daemon.process.pid, what, (number, old[1]))


@pytest.mark.workers
def test_without_pipes_bytes_are_copied(relay):
    """No descriptor is left for one."""
    made = relay("tcp4")
    pairs = [made.pair() for _ in range(4)]
    with made.daemon.varlink() as session:
        session.call("Status")
        limit(made.daemon, resource.RLIMIT_NOFILE, 8)
        for pair in pairs:
            exchange(pair.client, pair.server, 4 * MEGABYTE)
        limit(made.daemon, resource.RLIMIT_NOFILE, 1024)


def test_shortage_of_descriptors_is_not_the_upstreams_fault(relay, closing):
    """What cannot be relayed now is refused or waits; afterwards the upstream is up as before."""
    made = relay("tcp4", max_failures=1, retry_after="1h", beside=True)
    with contextlib.closing(Bystander(made.daemon)) as bystander:
        made.pair()
        limit(made.daemon, resource.RLIMIT_NOFILE, bystander.fds() + 3)
        clients = [try_to_connect(made.daemon.address) for _ in range(8)]
        eventually(lambda: any(client is None or is_over(client) for client in clients), "some are refused")
        bystander.assert_served()
        limit(made.daemon, resource.RLIMIT_NOFILE, 1024)
        for client in filter(None, clients):
            client.close()
        row, = bystander.session.call("Upstreams")["upstreams"]
        assert row["state"] == "up"


def try_to_connect(address):
    with contextlib.suppress(ConnectionResetError):
        return connect(address)


def is_over(sock):
    try:
        sock.setblocking(False)
        return sock.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
