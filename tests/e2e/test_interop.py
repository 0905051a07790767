# SPDX-License-Identifier: MIT
"""What others compress is understood, and others understand what is compressed: Python's zlib and gzip, and gzip(1)."""
import gzip
import random
import socket
import subprocess
import threading
import zlib

import pytest

from harness.bounds import Bystander
from harness.sockets import connect, read_to_end, udp_client

SIZES = [0, 1, 100, (64 << 10) - 1, 64 << 10, (64 << 10) + 1, 1 << 20]
LEVELS = range(1, 10)
GZIP = 16  # added to the window bits: the gzip format
CODECS = {"zlib": 0, "gzip": GZIP}
KINDS = ["tcp4", "tcp6"]
WORDS = [b"order", b"accepted", b"customer", b"2024-05-01T12:00", b"127.0.0.1", b"\n"]


@pytest.fixture
def rng():
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")  # pytest shows it when the test fails
    return random.Random(seed)


def text(rng, size):
    """Something of everything: words, a run, noise."""
    words = b" ".join(rng.choices(WORDS, k=2000))
    block = words + bytes(3000) + rng.randbytes(4000)
    start = rng.randrange(len(block))
    return ((block[start:] + block) * (size // len(block) + 1))[:size]


def texts(rng):
    return [text(rng, size) for size in [*SIZES, rng.randrange(200_000)]]


def cut(rng, data):
    """Into pieces: the first ones small, the others of any size, some hundred at most. A header that is text comes with
    what decompression = auto decides on, for the machine may be busy just then."""
    grain = rng.choice([len(data) // 200 + 1, 5000, 1 << 16])
    at = 64 if data.startswith(b"x^") else 0
    if at > 0:
        yield data[:at]
    while at < len(data):
        size = rng.randint(1, 3 if at < 20 else grain)
        yield data[at:at + size]
        at += size


def exchange(rng, address, data):
    """Sends the data in pieces, ends its side and returns what came back until the daemon ended its own."""
    with connect(address) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def send():
            for piece in cut(rng, data):
                client.sendall(piece)
            client.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        try:
            return read_to_end(client)
        finally:
            sender.join()


def pack(data, codec, level=6, wbits=zlib.MAX_WBITS, mem_level=8, strategy=zlib.Z_DEFAULT_STRATEGY):
    coder = zlib.compressobj(level, zlib.DEFLATED, CODECS[codec] + wbits, mem_level, strategy)
    return coder.compress(data) + coder.flush()


def unpack(codec, data):
    """One whole, with its trailer and nothing behind it."""
    decoder = zlib.decompressobj(wbits=CODECS[codec] + zlib.MAX_WBITS)
    content = decoder.decompress(data)
    assert decoder.eof and not decoder.unused_data
    assert (gzip if codec == "gzip" else zlib).decompress(data) == content
    return content


def unpack_each(codec, data):
    """Wholes one after the other: the list of what they hold."""
    contents = []
    while data:
        decoder = zlib.decompressobj(wbits=CODECS[codec] + zlib.MAX_WBITS)
        contents.append(decoder.decompress(data))
        assert decoder.eof
        data = decoder.unused_data
    return contents


def run_gzip(*options, data=None):
    return subprocess.run(["gzip", *options], input=data, check=True, capture_output=True).stdout


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("codec", CODECS)
def test_others_read_a_stream(serve, rng, codec, kind):
    daemon = serve(kind, target="echo")
    for level in LEVELS:
        daemon.set(settings={"compression": f"{codec}:{level}"})
        for data in texts(rng):
            assert unpack(codec, exchange(rng, daemon.address, data)) == data


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("auto", [False, True], ids=["explicit", "auto"])
def test_streams_of_others_are_read(serve, rng, codec, kind, auto):
    daemon = serve(kind, target="echo", decompression="auto" if auto else codec, decompression_max_ratio="unlimited")
    for level in LEVELS:
        for data in texts(rng):
            assert exchange(rng, daemon.address, pack(data, codec, level)) == data


@pytest.mark.parametrize("codec", CODECS)
def test_others_read_each_reply(serve, rng, codec):
    """compression_unit = payload, up to 1 MB a payload."""
    daemon = serve("tcp4", "tcp6", target="echo", framing="length32", payload_limit="1M", compression_unit="payload")
    for level in LEVELS:
        daemon.set(settings={"compression": f"{codec}:{level}"})
        frames = [len(data).to_bytes(4, "big") + data for data in texts(rng)]
        answer = exchange(rng, rng.choice(daemon.addresses), b"".join(frames))
        assert unpack_each(codec, answer) == frames


@pytest.mark.parametrize("kind", ["udp4", "udp6"])
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("auto", [False, True], ids=["explicit", "auto"])
def test_datagrams(serve, rng, codec, kind, auto):
    daemon = serve(kind, target="echo", decompression="auto" if auto else codec)
    with udp_client(daemon.address) as client:
        for level in LEVELS:
            daemon.set(settings={"compression": f"{codec}:{level}"})
            for size in (0, 1, 100, 1400, 60_000, rng.randrange(60_000)):
                data = text(rng, size)
                client.send(pack(data, codec, rng.choice(LEVELS)))
                assert unpack(codec, client.recv(1 << 16)) == data


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("auto", [False, True], ids=["explicit", "auto"])
def test_every_way_that_zlib_compresses(serve, rng, codec, auto):
    """Window sizes, strategies, memory, stored blocks."""
    daemon = serve("tcp4", target="echo", decompression="auto" if auto else codec)
    ways = [{"wbits": wbits} for wbits in range(9, 16)]
    ways += [{"strategy": strategy} for strategy in (zlib.Z_FILTERED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE, zlib.Z_FIXED)]
    ways += [{"level": 0}, {"level": 0, "wbits": 9}, {"mem_level": 1}, {"mem_level": 9}]
    for way in ways:
        for size in (0, 1, 100, 70_000):
            data = text(rng, size)
            assert exchange(rng, daemon.address, pack(data, codec, **way)) == data, way


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("auto", [False, True], ids=["explicit", "auto"])
@pytest.mark.parametrize("flush", ["Z_PARTIAL_FLUSH", "Z_SYNC_FLUSH", "Z_FULL_FLUSH", "Z_BLOCK", "any"])
def test_flushed_streams(serve, rng, codec, auto, flush):
    daemon = serve("tcp4", target="echo", decompression="auto" if auto else codec)
    modes = [zlib.Z_PARTIAL_FLUSH, zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_BLOCK, zlib.Z_NO_FLUSH]
    for _ in range(10):
        coder, data, wire = zlib.compressobj(rng.choice(LEVELS), wbits=CODECS[codec] + 15), text(rng, 100_000), b""
        for piece in cut(rng, data):
            wire += coder.compress(piece) + coder.flush(rng.choice(modes) if flush == "any" else getattr(zlib, flush))
        assert exchange(rng, daemon.address, wire + coder.flush()) == data


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("auto", [False, True], ids=["explicit", "auto"])
def test_wholes_one_after_the_other(serve, rng, codec, auto):
    daemon = serve("tcp4", target="echo", decompression="auto" if auto else codec, compression=codec)
    for _ in range(10):
        parts = [text(rng, rng.choice([0, 1, 100, 70_000])) for _ in range(rng.randint(2, 20))]
        wire = b"".join(pack(part, codec, rng.randint(0, 9), rng.randint(9, 15)) for part in parts)
        assert unpack(codec, exchange(rng, daemon.address, wire)) == b"".join(parts)


@pytest.mark.parametrize("first, second", [("zlib", "gzip"), ("gzip", "zlib")])
@pytest.mark.parametrize("auto", [False, True], ids=["explicit", "auto"])
def test_wholes_of_another_format_are_an_error(serve, rng, first, second, auto):
    daemon = serve("tcp4", target="echo", decompression="auto" if auto else first)
    with connect(daemon.address) as client:
        client.sendall(pack(b"one", first) + pack(b"two", second))
        assert read_to_end(client) == b"one"
    daemon.wait_log(rf"<4>orders: .*{first} data at byte")


@pytest.mark.parametrize("level", LEVELS)
def test_files_of_gzip(serve, rng, tmp_path, level):
    """Its header has a name and a time; several files in a row are one text."""
    daemon = serve("tcp4", "tcp6", target="echo", decompression="gzip", compression=f"gzip:{level}")
    path, data = tmp_path / "payloads of today", b"".join(texts(rng))
    path.write_bytes(data)
    packed = run_gzip(f"-{level}", "-N", "-c", path) + run_gzip(f"-{level}", "-n", "-c", path)
    answer = exchange(rng, rng.choice(daemon.addresses), packed)
    assert run_gzip("-d", "-c", data=answer) == 2 * data
    answer_path = tmp_path / "answer.gz"
    answer_path.write_bytes(answer)
    run_gzip("-t", answer_path)
    run_gzip("-d", "-N", answer_path)
    assert (tmp_path / "answer").read_bytes() == 2 * data


def send_in_wholes(client, blocks, order):
    packed = [gzip.compress(block, 1) for block in blocks]
    for i in order:
        client.sendall(packed[i])
    client.shutdown(socket.SHUT_WR)


@pytest.mark.plain_build
def test_a_gigabyte(serve, rng, closing):
    """Decompressed and compressed again, read by gzip, in memory that does not grow with it."""
    daemon = serve("tcp4", target="echo", decompression="gzip", compression="gzip:1", beside=True)
    bystander = closing(Bystander(daemon))
    words = b" ".join(rng.choices(WORDS, k=20))  # short: as fast as compressors are
    blocks = [(rng.randbytes(5000) + words * (1 << 15))[:1 << 20] for _ in range(8)]
    order = rng.choices(range(len(blocks)), k=1024)
    with connect(daemon.address) as client:
        client.settimeout(None)  # gzip reads from it as well
        sender = threading.Thread(target=send_in_wholes, args=(client, blocks, order))
        sender.start()
        with subprocess.Popen(["gzip", "-d", "-c"], stdin=client, stdout=subprocess.PIPE) as reader:
            for i in order:
                assert reader.stdout.read(1 << 20) == blocks[i]
            bystander.assert_served()
            assert reader.stdout.read() == b""
        assert reader.returncode == 0, "a right checksum, and nothing behind it"
        sender.join()
    daemon.wait_counters(rx_payload_bytes=1 << 30, tx_payload_bytes=1 << 30)
    bystander.assert_grown_below(16)
