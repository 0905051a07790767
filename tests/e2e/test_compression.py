# SPDX-License-Identifier: MIT
"""zlib and gzip, as a client with nothing but its language's library uses them."""
import gzip
import os
import re
import socket
import threading
import zlib

import pytest

from harness.bounds import Bystander
from harness.sockets import ask_tcp, ask_udp, connect, read_exactly, read_to_end, udp_client
from harness.varlink import VarlinkError
from harness.waiting import eventually

pytestmark = pytest.mark.workers

WBITS = {"zlib": zlib.MAX_WBITS, "gzip": zlib.MAX_WBITS | 16}
TEXT = b"".join(b"2024-05-01T12:00:%02d orders[%d]: accepted order %d of customer %d\n" % (i % 60, i, i * 7, i * 13 % 997)
                for i in range(2000))


def compress(format_, data):
    coder = zlib.compressobj(wbits=WBITS[format_])
    return coder.compress(data) + coder.flush()


class Reader:
    """Decompresses what a connection brings."""

    def __init__(self, client, format_):
        self.client = client
        self.decoder = zlib.decompressobj(wbits=WBITS[format_])
        self.wire = bytearray()
        self._text = b""

    def read(self, size):
        while len(self._text) < size:
            piece = self.client.recv(65536)
            assert piece, f"ended after {len(self._text)} of {size} bytes"
            self.wire += piece
            self._text += self.decoder.decompress(piece)
        text, self._text = self._text[:size], self._text[size:]
        return text


def both(format_):
    return {"compression": format_, "decompression": format_.split(":")[0]}


@pytest.mark.parametrize("format_", ["zlib", "gzip"])
def test_compressed_echo(serve, format_):
    daemon = serve("tcp4", target="echo", **both(format_))
    with connect(daemon.address) as client:
        client.sendall(compress(format_, TEXT))
        client.shutdown(socket.SHUT_WR)
        answer = read_to_end(client)
    assert len(answer) < len(TEXT) / 2
    decoder = zlib.decompressobj(wbits=WBITS[format_])
    assert decoder.decompress(answer) == TEXT
    assert decoder.eof and not decoder.unused_data, "the stream has its trailer"


def test_the_plain_program(serve):
    """zlib.compress(data) in, decompressobj() out, on one connection that stays open."""
    daemon = serve("tcp4", target="echo", **both("zlib"))
    with connect(daemon.address) as client:
        client.sendall(zlib.compress(b"Hello, Server"))
        decoder = zlib.decompressobj()
        text = b""
        while text != b"Hello, Server":
            piece = client.recv(1024)
            assert piece
            text += decoder.decompress(piece)


def test_ack_to_compressed_payload_is_compressed(serve):
    daemon = serve("tcp4", target="ack", **both("gzip"))
    with connect(daemon.address) as client:
        client.sendall(gzip.compress(b"Hello, Server"))
        client.shutdown(socket.SHUT_WR)
        assert gzip.decompress(read_to_end(client)) == b"Received"


def test_only_one_direction(serve):
    daemon = serve("tcp4", target="echo", decompression="zlib")
    with connect(daemon.address) as client:
        client.sendall(zlib.compress(TEXT))
        assert read_exactly(client, len(TEXT)) == TEXT
    daemon.set(settings={"decompression": "off", "compression": "zlib"})
    with connect(daemon.address) as client:
        client.sendall(TEXT)
        assert Reader(client, "zlib").read(len(TEXT)) == TEXT


def test_each_payload_can_be_read_at_once(serve):
    daemon = serve("tcp4", target="echo", **both("zlib"))
    with connect(daemon.address) as client:
        coder, reader = zlib.compressobj(), Reader(client, "zlib")
        for i in range(200):
            line = b"line %d\n" % i
            client.sendall(coder.compress(line) + coder.flush(zlib.Z_SYNC_FLUSH))
            assert reader.read(len(line)) == line


def test_large_stream_both_ways(serve):
    daemon = serve("tcp4", target="echo", **both("zlib:1"))
    text = TEXT * 40
    with connect(daemon.address) as client:
        writer = threading.Thread(target=lambda: client.sendall(compress("zlib", text)))
        writer.start()
        assert Reader(client, "zlib").read(len(text)) == text
        writer.join()


def test_level_changes_on_an_established_stream(serve):
    daemon = serve("tcp4", target="echo", compression="zlib:1")
    with connect(daemon.address) as client:
        reader = Reader(client, "zlib")

        def wire_bytes():
            before = len(reader.wire)
            client.sendall(TEXT)
            assert reader.read(len(TEXT)) == TEXT
            return len(reader.wire) - before
        wire_bytes()
        fast = wire_bytes()
        result = daemon.set(settings={"compression": "zlib:9"})
        assert result["keys"][0]["outcome"] == "applied"
        wire_bytes()
        best = wire_bytes()
        assert best < fast
        assert daemon.flows()[0]["compression"] == "zlib:9"


def test_off_on_a_compressed_stream_becomes_stored_blocks(serve):
    daemon = serve("tcp4", target="echo", compression="zlib")
    with connect(daemon.address) as client:
        reader = Reader(client, "zlib")
        client.sendall(TEXT)
        assert reader.read(len(TEXT)) == TEXT
        assert len(reader.wire) < len(TEXT) / 2
        daemon.set(settings={"compression": "off"})
        before = len(reader.wire)
        client.sendall(TEXT)
        assert reader.read(len(TEXT)) == TEXT, "the client's decoder goes on"
        assert len(reader.wire) - before >= len(TEXT)
        daemon.set(settings={"compression": "zlib:6"})
        client.sendall(TEXT)
        assert reader.read(len(TEXT)) == TEXT
        with connect(daemon.address) as late:
            late.sendall(TEXT)
            assert Reader(late, "zlib").read(len(TEXT)) == TEXT
    daemon.set(settings={"compression": "off"})
    with connect(daemon.address) as plain:
        plain.sendall(TEXT)
        assert read_exactly(plain, len(TEXT)) == TEXT


def test_another_format_holds_for_new_flows(serve):
    daemon = serve("tcp4", target="echo", compression="zlib")
    with connect(daemon.address) as old:
        reader = Reader(old, "zlib")
        old.sendall(TEXT)
        reader.read(len(TEXT))
        key, = daemon.set(settings={"compression": "gzip"})["keys"]
        assert key["deferred"] == 1 and key["failed"] == 0 and key["reason"]
        old.sendall(TEXT)
        assert reader.read(len(TEXT)) == TEXT
        with connect(daemon.address) as new:
            new.sendall(TEXT)
            assert Reader(new, "gzip").read(len(TEXT)) == TEXT


def test_stream_that_began_with_empty_replies_stays_plain(serve):
    daemon = serve("tcp4", target="echo", framing="line")
    with connect(daemon.address) as client:
        client.sendall(b"\n\n")
        assert read_exactly(client, 2) == b"\n\n"
        key, = daemon.set(settings={"compression": "zlib"})["keys"]
        assert key["deferred"] == 1
        client.sendall(b"plain\n")
        assert read_exactly(client, 6) == b"plain\n"


@pytest.mark.parametrize("format_", ["zlib", "gzip"])
def test_datagrams_are_coded_one_by_one(serve, format_):
    daemon = serve("udp4", target="echo", **both(format_))
    with udp_client(daemon.address) as client:
        for text in (TEXT[:5000], b"short", b"", os.urandom(1000)):
            client.send(compress(format_, text))
            assert zlib.decompress(client.recv(65536), WBITS[format_]) == text


def test_datagrams_change_format_at_once(serve):
    daemon = serve("udp4", target="echo")
    assert ask_udp(daemon.address, TEXT[:1000]) == TEXT[:1000]
    daemon.set(settings={"compression": "zlib"})
    assert zlib.decompress(ask_udp(daemon.address, TEXT[:1000])) == TEXT[:1000]
    daemon.set(settings={"compression": "gzip"})
    assert gzip.decompress(ask_udp(daemon.address, TEXT[:1000])) == TEXT[:1000]
    daemon.set(settings={"compression": "off"})
    assert ask_udp(daemon.address, TEXT[:1000]) == TEXT[:1000]


def truncated(data):
    return data[:-3]


def flipped(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1:]


def wrong_checksum(data):
    return data[:-1] + bytes([data[-1] ^ 1])


def not_compressed(data):
    return TEXT[:500]


@pytest.mark.parametrize("spoil", [flipped, wrong_checksum, not_compressed])
def test_corrupt_stream_is_logged_and_closes_only_its_flow(serve, spoil):
    daemon = serve("tcp4", target="echo", decompression="zlib")
    with connect(daemon.address) as good, connect(daemon.address) as bad:
        coder = zlib.compressobj()
        good.sendall(coder.compress(b"before") + coder.flush(zlib.Z_SYNC_FLUSH))
        assert read_exactly(good, 6) == b"before"
        bad.sendall(spoil(zlib.compress(TEXT)))
        try:
            read_to_end(bad)
        except ConnectionResetError:
            pass
        line = daemon.wait_log(r"<4>.*orders.*zlib").string
        assert "127.0.0.1:" in line
        good.sendall(coder.compress(b"after") + coder.flush(zlib.Z_SYNC_FLUSH))
        assert read_exactly(good, 5) == b"after"
        daemon.wait_counters(decode_errors=1)


def test_truncated_stream_is_logged(serve):
    daemon = serve("tcp4", target="discard", decompression="gzip")
    with connect(daemon.address) as client:
        client.sendall(gzip.compress(TEXT)[:-3])
        client.shutdown(socket.SHUT_WR)
        try:
            read_to_end(client)
        except ConnectionResetError:
            pass
    daemon.wait_log(r"<4>.*orders.*gzip")


@pytest.mark.parametrize("spoil", [truncated, flipped, wrong_checksum, not_compressed])
def test_corrupt_datagram_is_dropped_and_logged(serve, spoil):
    daemon = serve("udp4", target="echo", decompression="zlib")
    with udp_client(daemon.address) as client:
        client.send(spoil(zlib.compress(TEXT[:5000])))
        client.send(zlib.compress(b"good"))
        assert client.recv(65536) == b"good"
    daemon.wait_log(r"<4>orders: datagram .*zlib data at byte \d+")


def test_back_pressure_suspends_decompression(serve, closing):
    """A thousand times what came in, to a client that does not read for a while."""
    daemon = serve("tcp4", target="echo", decompression="zlib", decompression_max_ratio="unlimited", beside=True)
    bystander = closing(Bystander(daemon))
    size = 64 << 20
    with connect(daemon.address) as client:
        client.sendall(zlib.compress(bytes(size), 9))
        client.shutdown(socket.SHUT_WR)
        eventually(lambda: daemon.flows(listener="orders")[0]["idle_usec"] > 300_000, "the flow to wait for its client")
        bystander.assert_quiet()
        assert daemon.stats()["counters"]["rx_payload_bytes"] < size / 2
        bystander.assert_served()
        assert read_exactly(client, size) == bytes(size)
        assert client.recv(1) == b""
    bystander.assert_grown_below(16)


def test_decompression_changes_for_new_flows(serve):
    daemon = serve("tcp4", target="echo")
    with connect(daemon.address) as old:
        old.sendall(b"old")
        assert read_exactly(old, 3) == b"old"
        key, = daemon.set(settings={"decompression": "zlib"})["keys"]
        assert (key["deferred"], key["failed"]) == (1, 0) and key["reason"]
        old.sendall(zlib.compress(b"as it is"))
        assert read_exactly(old, len(zlib.compress(b"as it is"))) == zlib.compress(b"as it is")
        with connect(daemon.address) as new:
            new.sendall(zlib.compress(b"new"))
            assert read_exactly(new, 3) == b"new"


def test_settings_are_seen_in_flows(serve):
    daemon = serve("tcp4", target="echo", **both("gzip:4"))
    with connect(daemon.address) as client:
        client.sendall(gzip.compress(b"x"))
        Reader(client, "gzip").read(1)
        flow, = daemon.flows()
        assert flow["compression"] == "gzip:4" and flow["decompression"].startswith("gzip")
        assert flow["rx_payload_bytes"] == 1 and flow["rx_bytes"] > 1


def test_ratio_and_level_are_shown(serve):
    daemon = serve("tcp4", "udp4", target="echo", compression="gzip:4", decompression="auto")
    text = bytes(60_000)
    with connect(daemon.address) as client:
        client.sendall(gzip.compress(text))
        Reader(client, "gzip").read(len(text))
        assert re.search(r" gzip \d{2,3}\.\dx/gzip:4 \d{2,3}\.\dx\s", daemon.ctl("flows").out)
    shown = daemon.ctl("stats").out
    assert re.search(r"^orders +compression +gzip:4 \d{2,3}\.\dx$", shown, re.M)
    assert re.search(r"^orders +decompression +auto \d{2,3}\.\dx$", shown, re.M)
    listener = daemon.stats()
    assert (listener["compression"], listener["decompression"]) == ("gzip:4", "auto")
    daemon.set(settings={"compression": "zlib:9", "decompression": "off"})
    ask_udp(daemon.addresses[1], text[:1000])
    shown = daemon.ctl("stats").out
    assert re.search(r"^orders +compression +zlib:9 \d{2,3}\.\dx$", shown, re.M) and " decompression " not in shown


def test_unknown_format_is_refused(serve):
    daemon = serve("tcp4")
    with pytest.raises(VarlinkError) as caught:
        daemon.set(settings={"compression": "zlbi"})
    assert "zlib" in caught.value.parameters["faults"][0]["reason"]
