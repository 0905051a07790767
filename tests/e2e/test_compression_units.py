# SPDX-License-Identifier: MIT
"""Each reply a compressed whole; input that is or is not compressed; bounds on what it comes to."""

import gzip
import socket
import zlib

import pytest

from harness.sockets import ask_udp, connect, read_exactly, read_to_end, udp_client
from harness.waiting import eventually

TEXT = b"".join(b"2024-05-01 order %d accepted\n" % i for i in range(200))


def read_member(client, wbits):
    """One compressed whole from a connection: its content. What follows it must not be there yet."""
    decoder, content = zlib.decompressobj(wbits=wbits), b""
    while not decoder.eof:
        piece = client.recv(1)
        assert piece
        content += decoder.decompress(piece)
    return content


@pytest.mark.parametrize("codec, wbits", [("zlib", 15), ("gzip", 31)])
def test_each_reply_is_a_whole(serve, codec, wbits):
    daemon = serve("tcp4", target="echo", framing="line", compression=codec, compression_unit="payload")
    with connect(daemon.address) as client:
        client.sendall(b"first\nsecond\n")
        assert read_member(client, wbits) == b"first\n"
        assert read_member(client, wbits) == b"second\n"
        daemon.set(settings={"compression": "off"})
        client.sendall(b"third\n")
        assert read_exactly(client, 6) == b"third\n"
        daemon.set(settings={"compression": "gzip:9"})
        client.sendall(b"fourth\n")
        assert read_member(client, 31) == b"fourth\n"


@pytest.mark.parametrize("pack", [zlib.compress, gzip.compress])
def test_auto_finds_out(serve, pack):
    daemon = serve("tcp4", target="echo", decompression="auto")
    with connect(daemon.address) as client:
        client.sendall(pack(TEXT))
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == TEXT


@pytest.mark.parametrize("text", [b"x", b"x^2 + y^2 = z^2", b"plain text", b"\x1f", b"x^", b"H", TEXT])
def test_auto_lets_plain_data_pass(serve, text):
    """The client waits for the answer: nothing may hang for want of more bytes."""
    daemon = serve("tcp4", target="echo", decompression="auto")
    with connect(daemon.address) as client:
        client.sendall(text)
        assert read_exactly(client, len(text)) == text
        client.sendall(b"and more")
        assert read_exactly(client, 8) == b"and more"


def test_auto_in_single_bytes(serve):
    daemon = serve("tcp4", target="echo", decompression="auto")
    data = zlib.compress(TEXT)
    with connect(daemon.address) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(len(data)):
            client.sendall(data[i:i + 1])
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == TEXT


@pytest.mark.parametrize("level", [1, 6, 9])
@pytest.mark.parametrize("wbits", [15, 31])
def test_auto_of_a_header_that_comes_alone(serve, wbits, level):
    """As zlib's own streams begin: the rest follows when there is enough of it, here when the daemon has decided."""
    daemon = serve("tcp4", target="echo", decompression="auto")
    coder = zlib.compressobj(level, wbits=wbits)
    header = coder.compress(TEXT)
    assert len(header) == (2 if wbits == 15 else 10)
    with connect(daemon.address) as client:
        client.sendall(header)
        eventually(lambda: [f["decompression"] for f in daemon.flows()] != ["auto"], "decided")
        client.sendall(coder.flush())
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == TEXT


def test_auto_is_final_once_decided(serve):
    daemon = serve("tcp4", target="echo", decompression="auto")
    coder = zlib.compressobj()
    with connect(daemon.address) as client:
        client.sendall(coder.compress(TEXT) + coder.flush(zlib.Z_SYNC_FLUSH))
        assert read_exactly(client, len(TEXT)) == TEXT
        client.sendall(b"not compressed at all")
        assert read_to_end(client) == b""
    assert daemon.stats()["counters"]["decode_errors"] == 1


def test_auto_of_a_short_stream_that_is_cut(serve):
    """Decided on at its end; all that it holds comes, though that takes several turns."""
    daemon = serve("tcp4", target="echo", decompression="auto", io_buffer="4K")
    data = zlib.compress(bytes(45_000), 9)[:-4]
    assert len(data) < 64
    with connect(daemon.address) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == bytes(45_000)
    daemon.wait_counters(decode_errors=1)


def test_auto_of_datagrams(serve):
    daemon = serve("udp4", target="echo", decompression="auto")
    assert ask_udp(daemon.address, zlib.compress(TEXT)) == TEXT
    assert ask_udp(daemon.address, gzip.compress(TEXT)) == TEXT
    assert ask_udp(daemon.address, b"x^2") == b"x^2"
    broken = zlib.compress(TEXT)[:-1] + b"?"
    assert ask_udp(daemon.address, broken) == broken
    assert daemon.stats()["counters"]["decode_errors"] == 0


def test_several_wholes_in_a_row(serve):
    daemon = serve("tcp4", target="echo", decompression="gzip")
    with connect(daemon.address) as client:
        client.sendall(gzip.compress(b"one ") + gzip.compress(b"") + gzip.compress(b"two"))
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b"one two"


def test_what_follows_a_whole_must_be_one_too(serve):
    daemon = serve("tcp4", target="echo", decompression="gzip")
    with connect(daemon.address) as client:
        client.sendall(gzip.compress(b"one") + b"junk")
        assert read_to_end(client) == b"one"
    assert daemon.stats()["counters"]["decode_errors"] == 1


def test_fault_is_told_with_its_place_in_the_stream(serve):
    daemon = serve("tcp4", target="echo", decompression="zlib")
    first, second = zlib.compress(TEXT * 10), bytearray(zlib.compress(TEXT * 20))
    second[-1] ^= 1
    with connect(daemon.address) as client:
        client.sendall(first + second)
        assert read_to_end(client) == TEXT * 30
    end = len(first) + len(second)
    place = int(daemon.wait_log(r"<4>orders: flow .*corrupt zlib data at byte (\d+)")[1])
    assert end - 4 <= place <= end


def test_bomb_of_many_wholes_is_stopped(serve):
    """Each of them is small enough not to be looked at alone."""
    daemon = serve("tcp4", target="discard", decompression="gzip", decompression_max_ratio="100")
    whole = gzip.compress(bytes(1_000_000), 9)
    with connect(daemon.address) as client:
        try:
            client.sendall(10_000 * whole)
        except ConnectionError:
            pass
        daemon.wait_log(r"<4>orders: .*decompression_max_ratio")
    assert daemon.stats()["counters"]["rx_payload_bytes"] < (80 << 20)


@pytest.mark.parametrize("decompression", ["zlib", "auto"])
def test_limit_of_a_datagram(serve, decompression):
    daemon = serve("udp4", target="echo", decompression=decompression, decompression_max_output="1000B")
    with udp_client(daemon.address) as client:
        client.send(zlib.compress(bytes(1001)))
        client.send(zlib.compress(bytes(1000)))
        assert client.recv(65536) == bytes(1000)
    daemon.wait_log(r"<4>orders: datagram of .*more than 1000 bytes")
    daemon.wait_counters(decode_errors=1, payloads=1)


@pytest.mark.parametrize("limit", [{"decompression_max_output": "64M", "decompression_max_ratio": "unlimited"},
                                   {"decompression_max_ratio": "100"}])
def test_bomb_is_stopped(serve, limit):
    daemon = serve("tcp4", target="discard", decompression="zlib", **limit)
    coder = zlib.compressobj(9)
    with connect(daemon.address) as client:
        try:
            for _ in range(1000):
                client.sendall(coder.compress(bytes(10 << 20)) + coder.flush(zlib.Z_SYNC_FLUSH))
            pytest.fail("10 GB went through")
        except ConnectionError:
            pass
    daemon.wait_log(r"<4>orders: .*" + next(iter(limit)))
    assert daemon.stats()["counters"]["rx_payload_bytes"] < (80 << 20)


def test_stream_goes_on_after_a_rest(serve):
    """An idle stream holds no compressor; the client's decoder must not notice."""
    daemon = serve("tcp4", target="echo", compression="zlib:6")
    decoder = zlib.decompressobj()
    with connect(daemon.address) as client:
        def ask(data):
            client.sendall(data)
            content = b""
            while len(content) < len(data):
                piece = client.recv(65536)
                assert piece
                content += decoder.decompress(piece)
            return content

        assert ask(TEXT) == TEXT
        eventually(lambda: daemon.flows()[0]["idle_usec"] > 1_300_000, "the stream to rest")
        assert ask(TEXT[:500]) == TEXT[:500]
        client.shutdown(socket.SHUT_WR)
        decoder.decompress(read_to_end(client))
        assert decoder.eof
