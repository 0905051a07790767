# SPDX-License-Identifier: MIT
"""Where a payload begins and ends on TCP, and what replies look like then."""

import random
import select
import socket
import struct
import zlib

import pytest

from harness.sockets import connect, read_exactly, read_to_end
from harness.waiting import eventually


def octet(data):
    return b"%d %s" % (len(data), data)


def length32(data):
    return struct.pack(">I", len(data)) + data


def line(data):
    return data + b"\n"


WRAP = {"line": line, "octet_count": octet, "length32": length32}


def payloads(daemon):
    return daemon.stats()["counters"]["payloads"]


@pytest.mark.parametrize("framing", list(WRAP))
def test_each_frame_is_one_payload_and_replies_use_the_same_framing(serve, framing):
    daemon = serve("tcp4", target="ack", framing=framing)
    wrap = WRAP[framing]
    expected = wrap(b"Received")
    with connect(daemon.address) as client:
        client.sendall(b"".join(wrap(b"payload %d" % i) for i in range(100)))
        assert read_exactly(client, 100 * len(expected)) == 100 * expected
    assert payloads(daemon) == 100


@pytest.mark.parametrize("framing", list(WRAP))
def test_frames_in_small_pieces(serve, framing):
    daemon = serve("tcp4", target="echo", framing=framing)
    data = b"".join(WRAP[framing](text) for text in (b"one", b"two and more", b"x" * 300))
    with connect(daemon.address) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(len(data)):
            client.sendall(data[i:i + 1])
        assert read_exactly(client, len(data)) == data
    assert payloads(daemon) == 3


@pytest.mark.parametrize("framing", list(WRAP))
def test_many_frames_to_a_slow_reader_lose_nothing(serve, framing):
    """Small frames, large answers: what the client does not read must not pile up, and nothing may be lost."""
    daemon = serve("tcp4", target="ack", framing=framing, reply="r" * 4000)
    wrap, n = WRAP[framing], 20000
    expected = wrap(b"r" * 4000)
    with connect(daemon.address) as client:
        client.setblocking(False)
        out, got = memoryview(wrap(b"x") * n), 0
        while got < n * len(expected):
            readable, writable, _ = select.select([client], [client] if out else [], [], 30)
            assert readable or writable, "neither side goes on"
            if writable and out:
                out = out[client.send(out[:65536]):]
            if readable:
                piece = client.recv(65536)
                assert piece
                got += len(piece)
        assert got == n * len(expected)
    assert payloads(daemon) == n


def test_line_without_its_end_counts_when_the_stream_ends(serve):
    daemon = serve("tcp4", target="echo", framing="line")
    with connect(daemon.address) as client:
        client.sendall(b"first\r\nsecond")
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b"first\nsecond\n"


def test_eof_takes_the_stream_as_one_payload(serve):
    daemon = serve("tcp4", target="echo", framing="eof", payload_limit="4M")
    data = random.Random(1).randbytes(1_000_000)
    with connect(daemon.address) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == data
    assert payloads(daemon) == 1


@pytest.mark.parametrize("framing, good, bad, word", [
    ("octet_count", octet(b"good"), b"abc def", "octet count"),
    ("octet_count", octet(b"good"), b"007 bond", "octet count"),
    ("octet_count", octet(b"good"), b"2000 ", "payload_limit"),
    ("length32", length32(b"good"), b"\xff\xff\xff\xff", "payload_limit"),
    ("line", line(b"good"), b"x" * 3000, "payload_limit"),
])
def test_bad_frame_ends_its_flow_and_spares_what_came_before(serve, framing, good, bad, word):
    daemon = serve("tcp4", target="echo", framing=framing, payload_limit="1K")
    with connect(daemon.address) as other, connect(daemon.address) as client:
        client.sendall(good + bad)
        assert read_to_end(client) == good
        daemon.wait_log(rf"<4>orders: flow .*({word})")
        other.sendall(good)
        assert read_exactly(other, len(good)) == good
    assert daemon.stats()["counters"]["frame_errors"] == 1


@pytest.mark.parametrize("framing, part", [("octet_count", b"10 half"), ("length32", b"\0\0\0\x0ahalf")])
def test_frame_that_the_end_cuts_off_is_an_error(serve, framing, part):
    daemon = serve("tcp4", target="echo", framing=framing)
    with connect(daemon.address) as client:
        client.sendall(part)
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b""
    assert daemon.stats()["counters"]["frame_errors"] == 1


def test_frame_must_be_complete_in_time(serve):
    daemon = serve("tcp4", target="echo", framing="line", frame_timeout="50ms")
    with connect(daemon.address) as client:
        client.sendall(b"whole\nhalf")
        assert read_to_end(client) == b"whole\n"
    daemon.wait_log(r"frame_timeout")
    assert daemon.stats()["counters"]["frame_errors"] == 1


def test_quiet_between_frames_is_no_error(serve):
    daemon = serve("tcp4", target="echo", framing="line", frame_timeout="20ms")
    with connect(daemon.address) as client:
        client.sendall(b"one\n")
        assert read_exactly(client, 4) == b"one\n"
        eventually(lambda: daemon.flows()[0]["idle_usec"] > 200_000, "the flow to be quiet for a while")
        client.sendall(b"two\n")
        assert read_exactly(client, 4) == b"two\n"


def test_frame_timeout_does_not_run_while_the_client_does_not_read(serve):
    """Whole frames wait for room, and nobody reads the rest of the last one."""
    n = 2000
    daemon = serve("tcp4", target="ack", framing="line", reply="r" * 4000, frame_timeout="200ms",
                   profile={"send_buffer": "16K"})
    with connect(daemon.address, options=[(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)]) as client:
        client.sendall(b"x\n" * n + b"half")
        eventually(lambda: daemon.flows()[0]["idle_usec"] > 600_000, "the flow to wait for its client")
        assert len(read_to_end(client)) == n * 4001
    daemon.wait_log("frame_timeout")
    daemon.wait_counters(payloads=n, frame_errors=1)


def test_frames_inside_a_compressed_stream(serve):
    daemon = serve("tcp4", target="ack", framing="line", compression="zlib", decompression="gzip")
    coder = zlib.compressobj(wbits=31)
    data = coder.compress(b"".join(b"line %d\n" % i for i in range(5000))) + coder.flush()
    with connect(daemon.address) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        assert zlib.decompress(read_to_end(client)) == b"Received\n" * 5000
    assert payloads(daemon) == 5000


def test_framing_of_new_flows_follows_a_reload(serve):
    daemon = serve("tcp4", target="ack", framing="line")
    with connect(daemon.address) as old:
        old.sendall(b"a\n")
        assert read_exactly(old, 9) == b"Received\n"
        daemon.config.write_text(daemon.config.read_text().replace('"line"', '"length32"'))
        assert daemon.call("Reload")["changed"] == ["orders"]
        with connect(daemon.address) as new:
            new.sendall(length32(b"b"))
            assert read_exactly(new, 12) == length32(b"Received")
        old.sendall(b"c\n")
        assert read_exactly(old, 9) == b"Received\n"
