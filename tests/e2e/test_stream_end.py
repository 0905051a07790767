# SPDX-License-Identifier: MIT
"""However a flow ends in order, its client has a whole compressed stream: every answer, and the trailer."""
import signal
import socket
import threading
import zlib

import pytest

from harness.sockets import connect, read_to_end
from harness.waiting import eventually

pytestmark = pytest.mark.workers

WBITS = {"zlib": 15, "gzip": 31}
LINE = b"2024-05-01 order accepted\n"


def assert_whole(codec, wire, text):
    decoder = zlib.decompressobj(wbits=WBITS[codec])
    assert decoder.decompress(wire) == text
    assert decoder.eof and not decoder.unused_data, "the stream has its trailer, and nothing behind it"


def by_close(daemon):
    assert daemon.call("Close", listener="orders")["closed"] == 1


def by_end_of_drain(daemon):
    daemon.signal(signal.SIGTERM)


def by_removal(daemon):
    lines = daemon.config.read_text().splitlines()
    daemon.config.write_text("\n".join(line for line in lines if "orders" not in line))
    daemon.call("Reload")


def by_idle_timeout(daemon):
    daemon.set(settings={"idle_timeout": "50ms"})


@pytest.mark.parametrize("codec", ["zlib", "gzip"])
@pytest.mark.parametrize("end", [by_close, by_end_of_drain, by_removal, by_idle_timeout], ids=lambda f: f.__name__)
def test_trailer_arrives(serve, codec, end):
    daemon = serve("tcp4", target="echo", compression=codec, beside=True, daemon={"drain_timeout": "100ms"})
    with connect(daemon.address) as client:
        client.sendall(LINE * 1000)
        wire = client.recv(1)
        end(daemon)
        wire += read_to_end(client)
    assert_whole(codec, wire, LINE * 1000)


@pytest.mark.parametrize("end", [by_close, by_end_of_drain], ids=lambda f: f.__name__)
def test_trailer_arrives_though_input_is_left_unread(serve, end):
    """A client that goes on sending: a close with unread input would reset what is on its way."""
    daemon = serve("tcp4", target="echo", compression="zlib", daemon={"drain_timeout": "100ms"})
    with connect(daemon.address) as client:
        stopped = threading.Event()

        def send():
            try:
                while not stopped.is_set():
                    client.sendall(LINE * 100)
            except OSError:
                pass

        sender = threading.Thread(target=send)
        sender.start()
        wire = client.recv(1)
        try:
            end(daemon)
            while piece := client.recv(65536):
                wire += piece
        finally:
            stopped.set()
            sender.join()
    decoder = zlib.decompressobj()
    text = decoder.decompress(wire)
    assert decoder.eof
    assert text == (LINE * (len(text) // len(LINE) + 1))[:len(text)]


@pytest.mark.parametrize("codec", ["zlib", "gzip"])
def test_stream_without_a_byte_is_a_whole_too(serve, codec):
    daemon = serve("tcp4", target="echo", compression=codec, decompression=codec)
    with connect(daemon.address) as client:
        coder = zlib.compressobj(wbits=WBITS[codec])
        client.sendall(coder.flush())
        client.shutdown(socket.SHUT_WR)
        assert_whole(codec, read_to_end(client), b"")


@pytest.mark.parametrize("target", ["discard", "journal"])
def test_target_that_never_answers_sends_nothing(serve, target):
    daemon = serve("tcp4", target=target, compression="zlib")
    with connect(daemon.address) as client:
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b""


def test_close_while_auto_has_not_decided(serve):
    """What was received is answered."""
    daemon = serve("tcp4", target="echo", decompression="auto")
    with connect(daemon.address) as client:
        client.sendall(b"x")
        eventually(lambda: daemon.flows()[0]["rx_bytes"] == 1, "the byte to arrive")
        by_close(daemon)
        assert read_to_end(client) == b"x"


@pytest.mark.parametrize("spoil, counter", [
    (lambda text: zlib.compress(text)[:-1] + b"?", "decode_errors"),
    (lambda text: zlib.compress(text)[:-2], "decode_errors"),
    (lambda text: zlib.compress(text) + b"junk", "decode_errors"),
    (lambda text: zlib.compress(text + b"x" * 2000), "frame_errors"),
], ids=["corrupt", "truncated", "junk", "too-large"])
def test_bad_input_ends_a_stream_in_order(serve, spoil, counter):
    """Answers to the payloads before it come, framed and compressed, and the trailer."""
    daemon = serve("tcp4", target="ack", framing="line", payload_limit="1K", compression="gzip", decompression="zlib")
    with connect(daemon.address) as client:
        client.sendall(spoil(LINE * 5000))
        client.shutdown(socket.SHUT_WR)
        assert_whole("gzip", read_to_end(client), b"Received\n" * 5000)
    daemon.wait_counters(payloads=5000, **{counter: 1})
