# SPDX-License-Identifier: MIT
"""Many datagrams at once: joined by sender or kernel, answered in few calls; nobody may notice but by the speed."""
import random
import socket
import zlib

import pytest

from harness.datagrams import FastClient, joins, stopped
from harness.sockets import address_of, udp_client

pytestmark = pytest.mark.workers

FAMILIES = [("udp4", "127.0.0.1"), ("udp6", "::1"), ("udp46", "127.0.0.1"), ("udp46", "::1")]
EF, CS1, AF41 = 46 << 2, 8 << 2, 34 << 2
ROOM = {"receive_buffer": "4M", "send_buffer": "4M"}
SO_NO_CHECK = 11


def numbered(count, size, start=0):
    return [(b"%06d" % i).ljust(size, b".")[:size] for i in range(start, start + count)]


@pytest.fixture
def client_of(closing):
    """client_of(daemon, host): a FastClient and the address that it asks there."""
    def make(daemon, host, **keywords):
        return closing(FastClient(host, **keywords)), address_of(daemon.listening[0], host)
    return make


def assert_replies(client, payloads, source, tos=0):
    assert client.receive(len(payloads)) == [(payload, source, tos) for payload in payloads]
    assert client.nothing_more()


@pytest.mark.parametrize("kind, host", FAMILIES)
@pytest.mark.parametrize("size, count, last", [(1, 64, 1), (100, 64, 100), (100, 30, 7), (1472, 44, 1), (8000, 8, 8000)])
def test_joined_datagrams_are_answered_one_by_one(serve, client_of, kind, host, size, count, last):
    daemon = serve(kind, target="echo", profile={"dscp": "EF", **ROOM})
    client, address = client_of(daemon, host)
    payloads = numbered(count - 1, size) + [b"z" * last]
    for _ in range(3):
        client.send_joined(address, payloads)
        assert_replies(client, payloads, host, EF)
    total = 3 * sum(map(len, payloads))
    daemon.wait_counters(rx_datagrams=3 * count, payloads=3 * count, replies=3 * count, tx_datagrams=3 * count,
                         rx_bytes=total, tx_bytes=total, rx_payload_bytes=total, tx_payload_bytes=total, tx_dropped=0,
                         tx_too_large=0)


@pytest.mark.parametrize("kind, host", FAMILIES)
def test_every_joined_datagram_is_acknowledged(serve, client_of, kind, host):
    daemon = serve(kind, target="ack", reply="got it", profile=ROOM)
    client, address = client_of(daemon, host)
    with stopped(daemon):
        for _ in range(10):
            client.send_joined(address, numbered(64, 50))
    assert_replies(client, [b"got it"] * 640, host)


@pytest.mark.parametrize("kind, host", FAMILIES)
def test_replies_leave_joined(serve, client_of, kind, host):
    """What a receiver can see of it, whether its own datagrams were joined or not."""
    daemon = serve(kind, target="ack", profile=ROOM)
    client, address = client_of(daemon, host)
    with stopped(daemon):
        for payload in numbered(32, 20):
            client.send(address, payload)
    assert_replies(client, [b"Received"] * 32, host)
    assert client.joined > 0


def test_a_plain_receiver_gets_plain_datagrams(serve, client_of):
    daemon = serve("udp4", target="echo", profile=ROOM)
    client, address = client_of(daemon, "127.0.0.1", gro=False)
    client.send_joined(address, numbered(64, 100))
    assert_replies(client, numbered(64, 100), "127.0.0.1")
    assert client.joined == 0


@pytest.mark.parametrize("kind, host", FAMILIES)
def test_sizes_mixed(serve, client_of, kind, host):
    daemon = serve(kind, target="echo", profile=ROOM)
    client, address = client_of(daemon, host)
    sizes = [0, 1, 1472, 1472, 1473, 1473, 0, 0, 65507, 65507, 1, 2, 2, 1, 0, 100, 100, 40, 100, 32753, 32753, 1, 32754, 32754]
    payloads = [bytes([i]) * size for i, size in enumerate(sizes)]
    with stopped(daemon):
        for payload in payloads:
            client.send(address, payload)
    assert_replies(client, payloads, host)
    daemon.wait_counters(tx_datagrams=len(sizes), tx_bytes=sum(sizes), tx_dropped=0, tx_too_large=0)


@pytest.mark.parametrize("workers", [1, 2])
def test_many_clients_at_once(serve, client_of, workers):
    """Interleaved at random: every reply arrives once, in order for each client, from where it was asked, marked."""
    daemon = serve("udp46", target="echo", profile={"dscp": "AF41", **ROOM}, daemon={"workers": workers})
    dice = random.Random(7)
    clients = [client_of(daemon, host, gro=i % 2) + (host,)
               for i, host in enumerate(["127.0.0.1", "127.0.0.2", "::1"] * 15)]
    for _ in range(4):
        expected = {client: [] for client, _, _ in clients}
        asked = [(client, address, n) for client, address, _ in clients for n in range(20)]
        dice.shuffle(asked)
        for client, address, n in asked:
            size = dice.choice([0, 5, 30, 30, 30, 200])
            if size and n % 4 == 0:
                payloads = [dice.randbytes(size) for _ in range(dice.randrange(2, 9))]
                client.send_joined(address, payloads)
            else:
                payloads = [dice.randbytes(size)]
                client.send(address, payloads[0])
            expected[client] += payloads
        for client, _, host in clients:
            assert_replies(client, expected[client], host, AF41)


@pytest.mark.parametrize("kind, host", FAMILIES)
def test_reflect_with_marks_mixed(serve, client_of, kind, host):
    daemon = serve(kind, target="echo", profile={"dscp": "reflect", **ROOM})
    client, address = client_of(daemon, host)
    dice = random.Random(3)
    expected = []
    with stopped(daemon):
        for _ in range(60):
            tos = dice.choice([0, EF, EF, CS1, AF41])
            payloads = [b"%03d" % tos] * dice.choice([1, 1, 1, 5, 20])
            if len(payloads) > 1:
                client.send_joined(address, payloads, tos)
            else:
                client.send(address, payloads[0], tos)
            expected += [(payload, host, tos) for payload in payloads]
    assert client.receive(len(expected)) == expected
    assert client.nothing_more()
    counted = {name: n for name, n in daemon.stats()["dscp_received"].items() if n}
    assert counted == {name: sum(reply[2] == tos for reply in expected)
                       for name, tos in (("CS0", 0), ("EF", EF), ("CS1", CS1), ("AF41", AF41))}


def test_replies_come_from_the_address_asked(serve, client_of):
    """One client asks several addresses of a wildcard socket in turns."""
    daemon = serve("udp46", target="echo", profile=ROOM)
    client, (_, port) = client_of(daemon, "127.0.0.1")
    hosts = ["127.0.0.1", "127.0.0.2", "127.0.0.2", "127.0.0.3"] * 16
    with stopped(daemon):
        for host in hosts:
            client.send_joined((host, port), [host.encode()] * 2)
    replies = client.receive(2 * len(hosts))
    assert [reply.source.encode() for reply in replies] == [reply.payload for reply in replies]
    assert [reply.source for reply in replies[::2]] == hosts


@pytest.mark.parametrize("keys, coded, plain", [
    ({"compression": "zlib"}, lambda reply: zlib.decompress(reply), lambda payload: payload),
    ({"decompression": "zlib"}, lambda reply: reply, lambda payload: zlib.compress(payload, 0)),
    ({"compression": "gzip", "decompression": "zlib"}, lambda reply: zlib.decompress(reply, 31),
     lambda payload: zlib.compress(payload, 0))], ids=["compress", "decompress", "both"])
def test_joined_datagrams_are_coded_one_by_one(serve, client_of, keys, coded, plain):
    daemon = serve("udp4", target="echo", profile={**keys, **ROOM})
    client, address = client_of(daemon, "127.0.0.1")
    payloads = numbered(400, 500)
    with stopped(daemon):
        for at in range(0, 400, 50):
            client.send_joined(address, [plain(payload) for payload in payloads[at:at + 50]])
    assert [coded(reply.payload) for reply in client.receive(400)] == payloads
    daemon.wait_counters(payloads=400, replies=400, rx_payload_bytes=400 * 500, tx_payload_bytes=400 * 500)


def test_one_corrupt_datagram_spoils_no_other(serve, client_of):
    daemon = serve("udp4", target="echo", profile={"decompression": "zlib", **ROOM})
    client, address = client_of(daemon, "127.0.0.1")
    good = [zlib.compress(payload, 0) for payload in numbered(10, 50)]
    bad = b"\xff" * len(good[0])
    client.send_joined(address, good[:4] + [bad] + good[4:])
    assert_replies(client, numbered(10, 50), "127.0.0.1")
    daemon.wait_counters(rx_datagrams=11, payloads=10, decode_errors=1)


def test_deny_counts_joined_datagrams(serve, client_of):
    daemon = serve("udp4", target="echo", profile={"deny": "127.0.0.1", **ROOM})
    client, address = client_of(daemon, "127.0.0.1")
    client.send_joined(address, numbered(20, 30))
    daemon.wait_counters(rx_datagrams=20, refused_denied=20, payloads=0)
    assert client.nothing_more()


def test_a_socket_whose_replies_cannot_be_joined(serve, client_of):
    """Without checksums the kernel takes no segments (EINVAL): replies go out all the same."""
    daemon = serve("udp4", target="echo", profile=ROOM,
                   prepare=lambda sock: sock.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1))
    client, address = client_of(daemon, "127.0.0.1")
    for _ in range(3):
        client.send_joined(address, numbered(64, 100))
        assert_replies(client, numbered(64, 100), "127.0.0.1")
    assert client.joined == 0
    daemon.wait_counters(tx_datagrams=3 * 64, tx_dropped=0, tx_too_large=0)


# The daemon comes and goes

def test_the_next_program_on_the_socket_gets_plain_datagrams(serve, client_of):
    daemon = serve("udp4", target="echo")
    server = daemon.listening[0]
    assert joins(server)
    daemon.stop()
    assert not joins(server)
    client, address = client_of(daemon, "127.0.0.1")
    client.send_joined(address, numbered(5, 10))
    assert [server.recv(100) for _ in range(5)] == numbered(5, 10)


def test_joined_datagrams_that_a_crash_left_are_answered(serve, client_of):
    daemon = serve("udp4", target="echo")
    client, address = client_of(daemon, "127.0.0.1")
    with stopped(daemon):
        client.send_joined(address, numbered(20, 10))
        daemon.kill()
    daemon.restart()
    assert_replies(client, numbered(20, 10), "127.0.0.1")


# Across a link with an MTU of 1500

@pytest.fixture
def across(link, serve):
    """across(kind, version, ...): a daemon at one end of a link; returns it, its host and a maker of clients at the other."""
    clients = []

    def start(kind, version, **keywords):
        host = (link.V4 if version == "4" else link.V6)["server"]
        with link.inside("server"):
            daemon = serve(kind, hosts={kind: "::" if kind == "udp46" else host}, **keywords)

        def make_client(**options):
            with link.inside("client"):
                clients.append(FastClient(host, **options))
            return clients[-1], (host, daemon.listening[0].getsockname()[1])
        return daemon, host, make_client
    yield start
    for client in clients:
        client.close()


ACROSS = [("udp4", "4"), ("udp6", "6"), ("udp46", "4"), ("udp46", "6")]


@pytest.mark.root
@pytest.mark.parametrize("kind, version", ACROSS)
@pytest.mark.parametrize("size", [0, 1, 1452, 1453, 1472, 1473, 3000, 32000, 65507])
def test_sizes_around_the_mtu(across, kind, version, size):
    """Over the MTU they are sent singly and fragmented."""
    daemon, host, make_client = across(kind, version, target="echo", profile={"dscp": "EF", **ROOM})
    client, address = make_client()
    count = 40 if size < 4000 else 6
    payloads = [bytes([i]) * size for i in range(count)]
    for _ in range(2):
        with stopped(daemon):
            for payload in payloads:
                client.send(address, payload)
        assert_replies(client, payloads, host, EF)
    daemon.wait_counters(tx_datagrams=2 * count, tx_bytes=2 * count * size, tx_dropped=0, tx_too_large=0)
    if 0 < size <= 1452:
        assert client.joined > 0


@pytest.mark.root
@pytest.mark.parametrize("kind, version", ACROSS)
def test_joined_across_a_link(across, kind, version):
    daemon, host, make_client = across(kind, version, target="echo", profile={"dscp": "reflect", **ROOM})
    client, address = make_client()
    size = 1472 if version == "4" else 1452
    expected = []
    for tos in (EF, 0, CS1) * 3:
        payloads = numbered(44, size)
        client.send_joined(address, payloads, tos)
        expected += [(payload, host, tos) for payload in payloads]
    assert client.receive(len(expected)) == expected
    assert client.nothing_more()


@pytest.mark.root
def test_long_replies_beside_short_ones(across):
    """Some groups fit the path, others do not: order is kept for each client."""
    daemon, host, make_client = across("udp4", "4", target="echo", profile=ROOM)
    clients = [make_client() for _ in range(5)]
    payloads = [bytes([i]) * size for i, size in enumerate([100, 100, 2000, 2000, 50, 1473, 1473, 1472, 1472, 1, 0, 1])]
    with stopped(daemon):
        for payload in payloads:
            for client, address in clients:
                client.send(address, payload)
    for client, _ in clients:
        assert_replies(client, payloads, host)


@pytest.mark.root
@pytest.mark.parametrize("target, size", [("echo", 1000), ("echo", 1473), ("ack", 1000)])
def test_replies_wait_for_a_slow_link(across, link, target, size):
    """A small send buffer that fills: reading pauses, nothing is lost, order is kept."""
    keys = {"reply": "r" * size} if target == "ack" else {}
    daemon, host, make_client = across("udp4", "4", target=target, profile={"receive_buffer": "4M", "send_buffer": "8K"},
                                       **keys)
    client, address = make_client()
    link.slow_down("server", "20mbit")
    payloads = numbered(300, size)
    with stopped(daemon):
        for payload in payloads:
            client.send(address, payload)
    assert_replies(client, [b"r" * size] * 300 if target == "ack" else payloads, host)
    daemon.wait_counters(tx_datagrams=300, tx_dropped=0, tx_too_large=0)
