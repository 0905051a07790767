# SPDX-License-Identifier: MIT
"""Clients like the plain socket programs that people write."""
import os
import selectors
import socket
import subprocess
import sys

import pytest

from harness.sockets import address_of, connect, is_turned_away, read_exactly, read_to_end, udp_client

pytestmark = pytest.mark.workers

PLAIN_TCP = """
import socket, sys
client_socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
client_socket.connect((sys.argv[1], int(sys.argv[2])))
client_socket.sendall(b"Hello, Server")
print(client_socket.recv(1024).decode())
client_socket.close()
"""

PLAIN_UDP = """
import socket, sys
client_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client_socket.settimeout(30)
client_socket.sendto(b"Hello, Server", (sys.argv[1], int(sys.argv[2])))
data, server = client_socket.recvfrom(1024)
print(data.decode())
"""


@pytest.mark.parametrize("kind, program", [("tcp4", PLAIN_TCP), ("udp4", PLAIN_UDP)], ids=["tcp", "udp"])
def test_plain_program(serve, kind, program):
    host, port = serve(kind).address
    done = subprocess.run([sys.executable, "-c", program, host, str(port)], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == ("Received\n", "", 0)


@pytest.mark.parametrize("kind", ["tcp4", "tcp6"])
def test_echo_client_that_talks_for_a_while(serve, kind):
    daemon = serve(kind, target="echo")
    with connect(daemon.address) as client:
        for i in range(1000):
            message = b"message %d " % i + b"." * (i * 7 % 3000)
            client.sendall(message)
            assert read_exactly(client, len(message)) == message


def test_udp_client_that_talks_for_a_while(serve):
    daemon = serve("udp4", target="echo")
    with udp_client(daemon.address) as client:
        for i in range(1000):
            client.send(b"message %d" % i)
            assert client.recv(1024) == b"message %d" % i


def test_each_message_of_a_talk_is_acknowledged(serve):
    daemon = serve("tcp4", target="ack")
    with connect(daemon.address) as client:
        for i in range(200):
            client.sendall(b"line %d\n" % i)
            assert read_exactly(client, 8) == b"Received"


def test_a_thousand_at_once(serve):
    daemon = serve("tcp4", target="ack", daemon={"workers": 2})
    clients = [connect(daemon.address, source=f"127.0.1.{i % 200 + 1}") for i in range(1000)]
    try:
        for client in clients:
            client.sendall(b"Hello, Server")
        for client in clients:
            assert read_exactly(client, 8) == b"Received"
        assert len(daemon.flows()) == 1000
        for i, client in enumerate(clients):
            client.sendall(b"again %d" % i)
        for client in clients:
            assert read_exactly(client, 8) == b"Received"
    finally:
        for client in clients:
            client.close()
    daemon.wait_flows(0)


def test_connections_that_come_and_go(serve):
    daemon = serve("tcp4", target="echo", daemon={"workers": 2})
    for i in range(500):
        with connect(daemon.address) as client:
            client.sendall(b"%d" % i)
            assert client.recv(64) == b"%d" % i
    daemon.wait_counters(accepted=500, closed=500, payloads=500)


def test_half_close_gets_the_whole_answer(serve):
    daemon = serve("tcp4", target="echo")
    payload = os.urandom(3_000_000)
    with connect(daemon.address) as client:
        client.setblocking(False)
        received, sent, selector = bytearray(), 0, selectors.DefaultSelector()
        selector.register(client, selectors.EVENT_READ | selectors.EVENT_WRITE)
        while True:
            (_, events), = selector.select(30)
            if events & selectors.EVENT_WRITE and sent < len(payload):
                sent += client.send(payload[sent:sent + 65536])
                if sent == len(payload):
                    client.shutdown(socket.SHUT_WR)
                    selector.modify(client, selectors.EVENT_READ)
            if events & selectors.EVENT_READ:
                piece = client.recv(1 << 20)
                if not piece:
                    break
                received += piece
    assert received == payload


def test_half_close_of_ack_ends_the_connection_after_the_answer(serve):
    daemon = serve("tcp4", target="ack")
    with connect(daemon.address) as client:
        client.sendall(b"Hello, Server")
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b"Received"
    daemon.wait_flows(0)


def test_client_that_resets_harms_nobody(serve):
    daemon = serve("tcp4", target="echo")
    with connect(daemon.address) as steady:
        for _ in range(50):
            client = connect(daemon.address)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.sendall(b"x" * 10000)
            client.close()
            steady.sendall(b"still here")
            assert read_exactly(steady, 10) == b"still here"
        daemon.wait_flows(1)


def test_client_that_connects_and_says_nothing(serve, closing):
    daemon = serve("tcp4", target="ack")
    silent = closing(connect(daemon.address))
    daemon.wait_flows(1)
    with connect(daemon.address) as client:
        client.sendall(b"Hello, Server")
        assert client.recv(64) == b"Received"
    silent.sendall(b"at last")
    assert silent.recv(64) == b"Received"


def test_idle_connection_is_closed_after_its_timeout(serve):
    daemon = serve("tcp4", target="echo", idle_timeout="300ms")
    with connect(daemon.address) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        assert read_to_end(client) == b""


def test_max_connections_makes_the_next_client_wait(serve, closing):
    daemon = serve("tcp4", target="echo", max_connections="2")
    first, second = closing(connect(daemon.address)), closing(connect(daemon.address))
    for client in (first, second):
        client.sendall(b"x")
        assert client.recv(1) == b"x"
    waiting = closing(connect(daemon.address))
    waiting.sendall(b"z")
    assert len(daemon.flows()) == 2
    first.close()
    assert waiting.recv(1) == b"z"
    second.sendall(b"y")
    assert second.recv(1) == b"y"


def test_too_many_connections_of_one_source_are_reset_and_counted(serve, closing):
    daemon = serve("tcp4", target="echo", max_connections_per_source="2")
    mine = [closing(connect(daemon.address, source="127.0.0.7")) for _ in range(2)]
    for client in mine:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
    assert is_turned_away(daemon.address, source="127.0.0.7")
    other = closing(connect(daemon.address, source="127.0.0.8"))
    other.sendall(b"x")
    assert other.recv(1) == b"x"
    daemon.wait_counters(refused_source=1)


@pytest.mark.parametrize("kind", ["tcp4", "tcp46"])
def test_allow_and_deny_choose_the_most_specific(serve, kind):
    daemon = serve(kind, target="echo", allow="127.0.0.0/8,127.0.0.7", deny="127.0.0.0/28")
    address = address_of(daemon.listening[0], "127.0.0.1")

    for source in ("127.0.0.7", "127.0.0.77"):
        assert not is_turned_away(address, source=source)
    for source in ("127.0.0.1", "127.0.0.8"):
        assert is_turned_away(address, source=source)


def test_deny_drops_datagrams(serve):
    daemon = serve("udp4", target="ack", deny="127.0.0.9")
    with udp_client() as refused, udp_client() as welcome:
        refused.bind(("127.0.0.9", 0))
        refused.sendto(b"x", daemon.address)
        welcome.bind(("127.0.0.10", 0))
        welcome.sendto(b"x", daemon.address)
        assert welcome.recv(64) == b"Received"
        refused.setblocking(False)
        with pytest.raises(BlockingIOError):
            refused.recv(64)
