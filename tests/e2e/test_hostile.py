# SPDX-License-Identifier: MIT
"""Clients of the traffic sockets that mean harm: floods, silence, dribbles and resets."""
import os
import socket
import threading
import zlib

import pytest

from harness.bounds import Bystander
from harness.sockets import connect, is_turned_away, read_exactly, read_to_end, reset, send_until_stuck, udp_client
from harness.waiting import eventually

pytestmark = pytest.mark.workers


@pytest.fixture
def serve_beside(serve, closing):
    """A daemon and its bystander."""
    def start(*kinds, **keys):
        daemon = serve(*kinds, beside=True, **keys)
        return daemon, closing(Bystander(daemon))
    return start


def counters(daemon):
    return daemon.stats()["counters"]


def assert_echoed(client, payload):
    client.sendall(payload)
    assert read_exactly(client, len(payload)) == payload


# Floods

def test_flood_beyond_max_connections(serve_beside, closing):
    limit, many = 50, 1000
    daemon, bystander = serve_beside("tcp4", target="echo", max_connections=str(limit), daemon={"workers": 2})
    clients = [closing(connect(daemon.address)) for _ in range(many)]
    for client in clients:
        client.sendall(b"let me in")
    daemon.wait_log(r"max_connections \(50\) is reached")
    daemon.wait_counters(accepted=limit)
    assert len(daemon.flows(listener="orders")) == limit and counters(daemon)["paused_full"] >= 1
    bystander.assert_served()
    bystander.assert_quiet()
    for client in clients[limit::2]:  # some give up waiting
        reset(client)
    for client in [*clients[:limit], *clients[limit + 1::2]]:
        assert read_exactly(client, 9) == b"let me in"
        client.close()
    daemon.wait_flows(0, listener="orders")
    bystander.assert_served()
    bystander.assert_grown_below(32)


def test_clients_that_come_and_go_at_max_connections(serve_beside):
    """Whoever leaves makes room for one who waits, thousands of times, from several sides at once."""
    daemon, bystander = serve_beside("tcp4", target="echo", max_connections="3", daemon={"workers": 2})
    failures = []

    def come_and_go():
        try:
            for i in range(200):
                with connect(daemon.address) as client:
                    assert_echoed(client, b"%d" % i)
                    if i % 3 == 0:
                        reset(client)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=come_and_go) for _ in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        bystander.assert_served()
    assert not failures
    daemon.wait_counters(accepted=1600, closed=1600, payloads=1600)


def test_flood_of_one_source_beyond_its_limit(serve_beside, closing):
    limit, many = 4, 2000
    daemon, bystander = serve_beside("tcp4", target="echo", max_connections_per_source=str(limit),
                                     daemon={"workers": 2})
    fds, mark = bystander.fds(), daemon.log_mark()
    for _ in range(limit):
        assert_echoed(closing(connect(daemon.address, source="127.0.0.7")), b"x")
    for i in range(many):
        assert is_turned_away(daemon.address, source="127.0.0.7")
        if i % 50 == 0:
            with connect(daemon.address, source=f"127.0.2.{i // 50}") as other:
                assert_echoed(other, b"one of many")
            bystander.assert_served()
    daemon.wait_counters(refused_source=many)
    daemon.wait_flows(limit, listener="orders")
    assert len(daemon.log(mark)) < many / 4, "the log is not flooded"
    bystander.wait_fds(fds + limit)
    bystander.assert_grown_below(32)


def test_one_source_cannot_take_every_place(serve_beside, closing):
    """It has what it may have and hammers on; a hundred others get in meanwhile."""
    daemon, bystander = serve_beside("tcp4", target="echo", max_connections="110", max_connections_per_source="10",
                                     daemon={"workers": 2})
    for _ in range(10):
        assert_echoed(closing(connect(daemon.address, source="127.0.0.7")), b"x")
    done = threading.Event()

    def hammer():
        while not done.is_set():
            try:
                connect(daemon.address, source="127.0.0.7").close()
            except ConnectionError:
                pass

    threads = [threading.Thread(target=hammer) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for i in range(100):
            assert_echoed(closing(connect(daemon.address, source=f"127.0.3.{i + 1}")), b"hello")
        bystander.assert_served()
    finally:
        done.set()
        for thread in threads:
            thread.join()
    daemon.wait_flows(110, listener="orders")
    assert counters(daemon)["refused_source"] > 0


def test_flood_of_datagrams_from_one_source(serve_beside):
    """Every datagram is answered, or counted where it was dropped; others are answered, if they ask again."""
    daemon, bystander = serve_beside("udp4", target="echo")
    sent = 0
    with udp_client(daemon.address) as flood, udp_client(daemon.address, deadline=0.2) as quiet:
        for _ in range(20):
            for _ in range(1000):
                flood.send(b"x" * 1000)
            sent += 1000
            bystander.assert_served()

            def answered():
                nonlocal sent
                sent += 1
                quiet.send(b"hello?")
                try:
                    return quiet.recv(64) == b"hello?"
                except TimeoutError:
                    return False
            eventually(answered, "an answer to a quiet client")
    eventually(lambda: counters(daemon)["rx_datagrams"] + counters(daemon)["kernel_drops"] == sent,
               lambda: f"{sent} datagrams; {counters(daemon)}")
    now = counters(daemon)
    assert now["replies"] == now["rx_datagrams"] == now["tx_datagrams"] + now["tx_dropped"]
    bystander.assert_grown_below(32)


# Slow ones

@pytest.mark.parametrize("target, keys", [("echo", {}), ("ack", {"reply": "Received, " * 400,
                                                                    "profile": {"io_buffer": "4K", "send_buffer": "16K"}}),
                                          ("echo", {"profile": {"compression": "zlib:1"}})],
                         ids=["echo", "ack", "compressed-echo"])
def test_readers_that_never_read(serve_beside, closing, target, keys):
    daemon, bystander = serve_beside("tcp4", target=target, daemon={"workers": 2}, **keys)
    block = os.urandom(1 << 20)
    narrow = [(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)]
    clients, most = [closing(connect(daemon.address, options=narrow)) for _ in range(10)], 64 << 20
    sent = []
    for client in clients:
        sent.append(send_until_stuck(client, block, most))
        bystander.assert_served()
    assert max(sent) < most, "whoever does not read cannot send for ever"
    bystander.assert_grown_below(64)
    bystander.assert_quiet()
    assert {flow["state"] for flow in daemon.flows(listener="orders")} == {"open"}

    reader = clients[0]
    reader.settimeout(30)
    reader.shutdown(socket.SHUT_WR)
    answer = read_to_end(reader)
    if "compression" in keys.get("profile", {}):
        answer = zlib.decompress(answer)
    if target == "echo":
        assert len(answer) == sent[0] and answer == (block * (sent[0] // len(block) + 1))[:sent[0]]
    else:
        assert answer and len(answer) % len(keys["reply"]) == 0
    for client in clients[1:]:
        reset(client)
    daemon.wait_flows(0, listener="orders")
    bystander.assert_served()


def count_to_end(client):
    """Bytes that still come, to the end or a reset."""
    client.settimeout(30)
    count = 0
    try:
        while piece := client.recv(1 << 20):
            count += len(piece)
    except ConnectionResetError:
        pass
    return count


def test_closing_those_that_never_read(serve_beside, closing):
    """The end that is asked for comes, and each reply byte has arrived or is counted as lost."""
    daemon, bystander = serve_beside("tcp4", target="echo")
    fds = bystander.fds()
    clients = [closing(connect(daemon.address, source="127.0.0.9")) for _ in range(5)]
    for client in clients:
        send_until_stuck(client, os.urandom(1 << 20), 64 << 20)
    assert daemon.call("Close", source="127.0.0.9/32")["closed"] == 5
    bystander.assert_served()
    daemon.wait_flows(0, listener="orders")
    bystander.wait_fds(fds)
    now = counters(daemon)
    assert now["closed"] == 5
    assert sum(map(count_to_end, clients)) + now["lost_bytes"] == now["tx_payload_bytes"]
    bystander.assert_served()


@pytest.mark.parametrize("decompression", ["off", "zlib"])
def test_senders_of_a_byte_at_a_time(serve_beside, closing, decompression):
    daemon, bystander = serve_beside("tcp4", target="echo", profile={"decompression": decompression},
                                     daemon={"workers": 2})
    text = bytes(range(100))
    message = zlib.compress(text) if decompression == "zlib" else text
    nodelay = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
    clients = [closing(connect(daemon.address, options=nodelay)) for _ in range(100)]
    for i in range(len(message)):
        for client in clients:
            client.send(message[i:i + 1])
    bystander.assert_served()
    for client in clients:
        assert read_exactly(client, len(text)) == text
    daemon.wait_counters(rx_bytes=len(message) * len(clients))  # the text is whole before the checksum is
    bystander.assert_grown_below(64)
    bystander.assert_quiet()


# Resets

def before_the_first_byte(client, daemon):
    pass


def mid_payload(client, daemon):
    client.sendall(b"x" * 100_000)


def with_unread_replies(client, daemon):
    client.settimeout(30)
    client.sendall(b"x" * 1000)
    client.recv(1)
    client.setblocking(False)
    try:
        while True:
            client.send(b"x" * 65536)
    except BlockingIOError:
        pass


def after_its_end(client, daemon):
    mid_payload(client, daemon)
    client.shutdown(socket.SHUT_WR)


def during_close(client, daemon):
    client.sendall(b"x")
    assert client.recv(1)
    daemon.call("Close", source="127.0.0.11/32")
    read_to_end(client)


@pytest.mark.parametrize("coding", ["off", "zlib"])
@pytest.mark.parametrize("get_there", [before_the_first_byte, mid_payload, with_unread_replies, after_its_end, during_close],
                         ids=lambda f: f.__name__)
def test_peers_that_reset(serve_beside, get_there, coding):
    many = 60
    daemon, bystander = serve_beside("tcp4", target="echo", profile={"compression": coding}, daemon={"workers": 2})
    fds = bystander.fds()
    for i in range(many):
        client = connect(daemon.address, source="127.0.0.11")
        if i % 10 == 0:
            daemon.wait_flows(1, source="127.0.0.11/32")
        get_there(client, daemon)
        reset(client)
        bystander.assert_served()
    daemon.wait_flows(0, listener="orders")
    bystander.wait_fds(fds)
    daemon.wait_counters(accepted=many, closed=many, errors=0)
    bystander.assert_grown_below(32)


def test_truncated_stream_and_reset(serve_beside):
    """In the middle of what is to be decompressed."""
    daemon, bystander = serve_beside("tcp4", target="echo", profile={"compression": "zlib", "decompression": "zlib"})
    fds, data = bystander.fds(), zlib.compress(os.urandom(50_000))
    for at in (1, 2, 3, 1000, len(data) - 4, len(data) - 1, len(data)):
        client = connect(daemon.address)
        client.sendall(data[:at])
        reset(client)
        bystander.assert_served()
    daemon.wait_flows(0, listener="orders")
    bystander.wait_fds(fds)


def test_stop_among_resets(serve_beside, closing):
    """Clients that reset, linger and wait while the daemon drains."""
    daemon, _ = serve_beside("tcp4", target="echo", daemon={"workers": 2, "drain_timeout": "1s"})
    clients = [connect(daemon.address) for _ in range(300)]
    for client in clients:
        assert_echoed(client, b"x")
    for client in clients[:100]:
        client.setblocking(False)
        client.send(os.urandom(1 << 20))
    stopper = threading.Thread(target=lambda: daemon.process.wait(30))
    daemon.process.terminate()
    stopper.start()
    for client in clients[::2]:
        reset(client)
    stopper.join()
    for client in clients[1::2]:
        client.close()
    daemon.stop()
