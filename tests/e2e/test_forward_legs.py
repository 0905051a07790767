# SPDX-License-Identifier: MIT
"""Legs that compress, and the PROXY protocol on either leg."""
import contextlib
import gzip
import random
import socket
import struct
import zlib

import pytest

from harness.bounds import Bystander
from harness.relay import Reader, exchange, text_of
from harness.sockets import address_of, connect, read_exactly, read_to_end
from harness.traffic import WBITS, content

MEGABYTE = 1 << 20
V2 = b"\r\n\r\n\0\r\nQUIT\n"


# Compression

@pytest.fixture
def tunnel(relay, serve, closing):
    """tunnel("zlib:6"): client -> compresses -> decompresses -> upstream. The outer daemon; pairs of the inner one."""

    def start(coding, to="tcp4", **keys):
        inner = relay("tcp4", to=[to], client_leg={"compression": coding, "decompression": coding.split(":")[0]}, **keys)
        outer = serve("tcp4", target="forward", upstream=[text_of(inner.daemon.listening[0])],
                      upstream_leg={"compression": coding, "decompression": coding.split(":")[0]})
        return outer, inner

    return start


@pytest.mark.workers
@pytest.mark.parametrize("coding", ["zlib:1", "gzip:6"])
def test_tunnel(tunnel, coding):
    outer, inner = tunnel(coding)
    pair = inner.pair(outer.address)
    pair.client.sendall(b"hello")
    assert read_exactly(pair.server, 5) == b"hello"
    pair.server.sendall(b"there")
    assert read_exactly(pair.client, 5) == b"there"
    exchange(pair.client, pair.server, 4 * MEGABYTE)
    for daemon in (outer, inner.daemon):
        daemon.wait_flows(0)
        counters = daemon.stats()["counters"]
        assert (counters["decode_errors"], counters["lost_bytes"]) == (0, 0)


def test_tunnel_saves_bytes_and_follows_changes_of_the_level(tunnel):
    outer, inner = tunnel("zlib:1")
    pair = inner.pair(outer.address)
    rng = random.Random(3)
    text = b"".join(content(random.Random(9), 40_000) for _ in range(4))
    for value in ("zlib:9", "zlib:1", "off", "zlib:6", "zlib:2"):
        outer.set(settings={"upstream.compression": value})
        inner.daemon.set(settings={"client.compression": rng.choice(["zlib:3", "zlib:9", "off"])})
        for _ in range(8):
            pair.client.sendall(text)
            assert read_exactly(pair.server, len(text)) == text
            pair.server.sendall(text)
            assert read_exactly(pair.client, len(text)) == text
    flow, = outer.flows()
    assert flow["upstream_leg"]["tx_bytes"] < flow["client_leg"]["rx_bytes"]
    exchange(pair.client, pair.server, MEGABYTE)


@pytest.mark.parametrize("format_", ["zlib", "gzip"])
def test_trailer_comes_last(relay, format_):
    pair = relay("tcp4", upstream_leg={"compression": format_}).pair()
    pair.client.sendall(b"some words " * 1000)
    pair.client.shutdown(socket.SHUT_WR)
    decoder = zlib.decompressobj(WBITS[format_])
    assert decoder.decompress(read_to_end(pair.server)) == b"some words " * 1000
    assert decoder.eof and not decoder.unused_data


def test_drain_ends_a_tunnel_in_order(tunnel):
    """The side that is stopped does not take the other one's stream for a broken one."""
    outer, inner = tunnel("zlib")
    pair = inner.pair(outer.address)
    pair.client.sendall(b"before")
    assert read_exactly(pair.server, 6) == b"before"
    inner.daemon.call("Close", listener="orders")
    assert read_to_end(pair.server) == b""
    assert read_to_end(pair.client) == b""
    assert inner.daemon.stats()["counters"]["decode_errors"] == outer.stats()["counters"]["decode_errors"] == 0


PLAIN = random.Random(1).randbytes(300_000)

CODED = zlib.compress(PLAIN)


@pytest.mark.parametrize("data, ends, reason, arrives", [
    (b"this is not compressed at all", False, "corrupt", 0),
    (CODED[:200_000] + b"\xff" * 100_000, False, "corrupt", 190_000),
    (CODED[:200_000], True, "truncated", 190_000),
], ids=["plain", "corrupt", "truncated"])
def test_broken_input_ends_the_flow_by_a_reset(relay, data, ends, reason, arrives):
    """What came before it has arrived."""
    made = relay("tcp4", decompression="off", client_leg={"decompression": "zlib"})
    pair = made.pair()
    with contextlib.suppress(OSError):
        pair.client.sendall(data)
        if ends:
            pair.client.shutdown(socket.SHUT_WR)
    received = bytearray()
    with pytest.raises(ConnectionResetError):
        while piece := pair.server.recv(1 << 16):
            received += piece
    assert received[:arrives] == PLAIN[:arrives]
    made.daemon.wait_log(f"{reason} .*from the client")
    made.daemon.wait_counters(decode_errors=1)


def test_bomb(relay):
    """Output stops at the limit, memory does not grow with it, others are served."""
    made = relay("tcp4", client_leg={"decompression": "zlib", "decompression_max_output": "16M"}, beside=True)
    coder = zlib.compressobj(9)
    bomb = b"".join(coder.compress(bytes(MEGABYTE)) for _ in range(64)) + coder.flush()
    with contextlib.closing(Bystander(made.daemon)) as bystander:
        pair = made.pair()
        with contextlib.suppress(OSError):
            pair.client.sendall(bomb)
        size = 0
        with pytest.raises(ConnectionResetError):
            while piece := pair.server.recv(1 << 18):
                size += len(piece)
        assert size <= 16 * MEGABYTE
        made.daemon.wait_log("decompression_max")
        bystander.assert_grown_below(24)
        bystander.assert_served()


@pytest.mark.parametrize("leg", ["client", "upstream"])
def test_bomb_of_many_members(relay, leg):
    """Each of them is small enough not to be looked at alone."""
    made = relay("tcp4", **{f"{leg}_leg": {"decompression": "gzip", "decompression_max_ratio": "100"}})
    client, server = made.pair()
    sender, receiver = (client, server) if leg == "client" else (server, client)
    member = gzip.compress(bytes(1_000_000), 9)
    reader = Reader(receiver)
    with contextlib.suppress(OSError):
        sender.sendall(100 * member)
        sender.shutdown(socket.SHUT_WR)
    reader.join()
    made.daemon.wait_log(f"<4>orders: .*decompression_max_ratio in compressed data from the {leg}")
    assert reader.received.size < 4 * MEGABYTE


# PROXY protocol

def v2(source, destination, command=0x21, tlv=b""):
    v6 = ":" in source[0]
    family = socket.AF_INET6 if v6 else socket.AF_INET
    body = b"".join(socket.inet_pton(family, a[0]) for a in (source, destination)) + struct.pack("!HH", source[1], destination[1])
    return V2 + struct.pack("!BBH", command, 0x21 if v6 else 0x11, len(body) + len(tlv)) + body + tlv


def v1(source, destination):
    return b"PROXY TCP%c %s %s %d %d\r\n" % (b"6" if ":" in source[0] else b"4", source[0].encode(),
                                             destination[0].encode(), source[1], destination[1])


WRITERS = {"v1": v1, "v2": v2}


@pytest.mark.parametrize("version", WRITERS)
@pytest.mark.parametrize("kind", ["tcp4", "tcp6", "tcp46"])
def test_upstream_is_told_the_client(relay, kind, version):
    made = relay(kind, proxy_protocol=version)
    host = {"tcp46": "127.0.0.1"}.get(kind)
    address = address_of(made.daemon.listening[0], host)
    pair = made.pair(address)
    header = WRITERS[version](pair.client.getsockname()[:2], address)
    pair.client.sendall(b"payload")
    assert read_exactly(pair.server, len(header) + 7) == header + b"payload"


@pytest.mark.parametrize("to", ["tcp4", "unix"])
@pytest.mark.parametrize("written", WRITERS)
@pytest.mark.parametrize("passed_on", WRITERS)
@pytest.mark.parametrize("piecewise", [False, True], ids=["whole", "bytewise"])
def test_header_is_accepted_and_passed_on(relay, closing, written, passed_on, to, piecewise):
    made = relay("tcp4", to=[to], accept_proxy=["127.0.0.0/8"], proxy_protocol=passed_on)
    client = closing(connect(made.daemon.address, options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]))
    source, destination = ("2001:db8::7", 4711), ("2001:db8::1", 80)
    sent = WRITERS[written](source, destination) + b"payload"
    for i in range(0, len(sent), 1 if piecewise else len(sent)):
        client.sendall(sent[i:i + (1 if piecewise else len(sent))])
    made.upstreams[0].settimeout(20)
    server = closing(made.upstreams[0].accept()[0])
    expected = WRITERS[passed_on](source, destination) + b"payload"
    assert read_exactly(server, len(expected)) == expected
    flow, = made.daemon.flows()
    assert flow["peer"] == "[2001:db8::7]:4711"


def test_header_through_two_relays(relay, serve, closing):
    inner = relay("tcp4", accept_proxy=["127.0.0.1"], proxy_protocol="v1")
    outer = serve("tcp6", target="forward", upstream=[text_of(inner.daemon.listening[0])], proxy_protocol="v2")
    pair = inner.pair(outer.address)
    header = v1(pair.client.getsockname(), outer.address)
    assert read_exactly(pair.server, len(header)) == header
    exchange(pair.client, pair.server, MEGABYTE)


def test_local_header_and_tlvs_are_skipped(relay, closing):
    made = relay("tcp4", accept_proxy=["127.0.0.1"])
    for header in (V2 + b"\x20\0\0\0", V2 + b"\x20\0\0\x05abcde", b"PROXY UNKNOWN\r\n",
                   v2(("192.0.2.1", 1), ("192.0.2.2", 2), tlv=b"\x04\0\x03abc")):
        client = closing(connect(made.daemon.address))
        client.sendall(header + b"x")
        assert read_exactly(closing(made.upstreams[0].accept()[0]), 1) == b"x"


@pytest.mark.parametrize("wrong", [b"GET / HTTP/1.0\r\n\r\n", b"PROXY TCP4 1.2.3.4\r\n", b"PROXY TCP4 " + b"1" * 200,
                                   V2 + b"\x31\x11\0\x0c" + bytes(12), V2 + b"\x21\x11\0\x04abcd", b"\r\n\r\n\0\r\nQUIX"])
def test_wrong_header_is_refused(relay, wrong):
    made = relay("tcp4", accept_proxy=["127.0.0.1"])
    with connect(made.daemon.address) as client, pytest.raises(ConnectionResetError):
        client.sendall(wrong)
        client.recv(1)
    made.daemon.wait_log("does not begin with a PROXY header")
    made.daemon.wait_flows(0)


@pytest.mark.parametrize("sent", [b"", b"PROXY TCP4 10.", V2 + b"\x21"])
def test_header_that_does_not_come(relay, sent):
    """Nothing, or not all of it: nothing is done meanwhile but wait."""
    made = relay("tcp4", accept_proxy=["127.0.0.1"], connect_timeout="2s", beside=True)
    with contextlib.closing(Bystander(made.daemon)) as bystander, connect(made.daemon.address) as client:
        client.sendall(sent)
        made.daemon.wait_flows(1, listener="orders")
        bystander.assert_quiet(0.7)
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    made.daemon.wait_log("does not begin with a PROXY header")


def test_end_within_the_header(relay):
    made = relay("tcp4", accept_proxy=["127.0.0.1"], beside=True)
    with contextlib.closing(Bystander(made.daemon)) as bystander, connect(made.daemon.address) as client:
        client.sendall(b"PROXY TCP4")
        made.daemon.wait_flows(1, listener="orders")
        client.shutdown(socket.SHUT_WR)
        bystander.assert_quiet(0.5)
        made.daemon.wait_flows(0, listener="orders")


def test_header_of_strangers_is_payload(relay):
    made = relay("tcp4", accept_proxy=["10.0.0.0/8"])
    pair = made.pair()
    pair.client.sendall(b"PROXY TCP4")
    assert read_exactly(pair.server, 10) == b"PROXY TCP4"


def test_limit_per_source_counts_whom_the_header_names(relay, closing):
    made = relay("tcp4", accept_proxy=["127.0.0.1"], max_connections_per_source=2)

    def come(host):
        client = closing(connect(made.daemon.address))
        client.sendall(v1((host, 1), ("192.0.2.9", 80)) + b"x")
        return client

    for _ in range(3):
        clients = [come(host) for host in ("192.0.2.1", "192.0.2.1")]
        servers = [closing(made.upstreams[0].accept()[0]) for _ in clients]
        clients.append(come("192.0.2.2"))
        servers.append(closing(made.upstreams[0].accept()[0]))
        with pytest.raises(ConnectionResetError):
            come("192.0.2.1").recv(1)
        for sock in clients + servers:
            sock.close()
        made.daemon.wait_flows(0)
    made.daemon.wait_counters(refused_source=3)
