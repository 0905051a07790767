# SPDX-License-Identifier: MIT
"""Target forward over TCP: ten gigabytes, of which every byte is looked at."""
import collections
import random
import socket
import threading
import time

import pytest

from harness.sockets import reset

MEGABYTE = 1 << 20
GIGABYTE = 1 << 30
BLOCK = random.Random(7).randbytes(MEGABYTE)
# Sent from any place of the first block on, at most this much at a time, without coming to its end.
BLOCKS = 2 * BLOCK


class Sender(threading.Thread):
    """Sends pieces of random sizes out of BLOCK, round and round from `start` on; `sent` is how much."""

    def __init__(self, sock, size, start, rng):
        super().__init__(daemon=True)
        self.sent, self.error = 0, None
        self._sock, self._size, self._start, self._rng = sock, size, start, rng
        self.start()

    def run(self):
        blocks = memoryview(BLOCKS)
        try:
            while self.sent < self._size:
                at = (self._start + self.sent) % MEGABYTE
                largest = self._rng.choice((1, 100, 1448, 65_536, MEGABYTE))
                piece = min(self._size - self.sent, self._rng.randint(1, largest))
                self._sock.sendall(blocks[at:at + piece])
                self.sent += piece
        except OSError as error:
            self.error = error


def look_at(sock, start, slowly=None, most=None):
    """Reads to the end or until it has `most`, with pauses now and then if `slowly` is a generator: how much came, all of it right."""
    received = 0
    while (most is None or received < most) and (data := sock.recv(MEGABYTE // 4)):
        at = (start + received) % MEGABYTE
        assert data == BLOCKS[at:at + len(data)], f"other bytes behind {received}"
        received += len(data)
        if slowly and slowly.random() < 0.01:
            time.sleep(slowly.random() / 10)
    return received


def whole(one, other, size, rng, slowly=None):
    """One direction to its end: what was received."""
    start = rng.randrange(MEGABYTE)
    sender = Sender(one, size, start, random.Random(rng.random()))
    closing = threading.Thread(target=lambda: (sender.join(), one.shutdown(socket.SHUT_WR)), daemon=True)
    closing.start()
    received = look_at(other, start, slowly)
    closing.join()
    assert (sender.error, received) == (None, size)
    return received


def at_once(one, other, size, rng):
    sizes, rng_back = [], random.Random(rng.random())
    back = threading.Thread(target=lambda: sizes.append(whole(other, one, size, rng_back)))
    back.start()
    sizes.append(whole(one, other, size, rng))
    back.join()
    assert len(sizes) == 2, "the way back failed"
    return sum(sizes)


def one_after_the_other(one, other, size, rng):
    """Half-closed for the whole of the second half."""
    return whole(one, other, size, rng) + whole(other, one, size, rng)


def with_pauses(one, other, size, rng):
    return whole(one, other, size, rng, slowly=rng)


def cut_off(one, other, size, rng):
    """A reset in the midst of it: no wrong byte before it, and the sender sees it as what it is."""
    start = rng.randrange(MEGABYTE)
    sender = Sender(one, 1 << 60, start, random.Random(rng.random()))
    received = look_at(other, start, most=size)
    reset(other)
    sender.join()
    assert isinstance(sender.error, ConnectionError), sender.error
    return received


WAYS = (at_once, one_after_the_other, with_pauses, cut_off)


@pytest.mark.plain_build
def test_ten_gigabytes(relay):
    """Four flows at a time that send, stall, half-close and reset as they like."""
    made = relay("tcp4")
    lock, passed, faults = threading.Lock(), collections.Counter(), []

    def run(seed):
        rng = random.Random(seed)
        while passed.total() < 10 * GIGABYTE and not faults:
            way = rng.choice(WAYS)
            try:
                with lock:
                    pair = made.pair()
                with pair.client, pair.server:
                    size = way(*rng.sample(pair, 2), rng.randint(1, 128 * MEGABYTE), rng)
                with lock:
                    passed[way.__name__] += size
            except Exception as error:  # of whatever kind: said by the main thread
                faults.append((seed, way.__name__, error))

    runners = [threading.Thread(target=run, args=(seed,)) for seed in range(4)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    assert not faults
    assert set(passed) == {way.__name__ for way in WAYS}
    made.daemon.wait_flows(0)
    counters = made.daemon.stats()["counters"]
    assert counters["errors"] == 0
    assert counters["resets"] > 0 and counters["upstream_errors"] > 0, "resets of either side"
