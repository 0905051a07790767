# SPDX-License-Identifier: MIT
"""Whatever becomes of `compression` while payloads flow, a client with Python's zlib reads every byte."""
import math
import random
import threading
import time

import pytest

from harness.daemon import is_sanitized
from harness.sockets import udp_client
from harness.traffic import Decoder, Stream, content, random_compression
from harness.varlink import VarlinkError

pytestmark = pytest.mark.workers

CHANGES = 2000
SECONDS = 5 if is_sanitized() else math.inf  # with a sanitizer it is as many as fit
SOURCES = ["127.0.0.5", "127.0.0.6"]


class Clients:
    """Threads that work until told to stop; the first thing that goes wrong in one is raised at the end."""

    def __init__(self, seed):
        self._stop = threading.Event()
        self._errors = []
        self._threads = []
        self._seed = seed

    def add(self, work):
        thread = threading.Thread(target=self._run, args=(work, random.Random(f"{self._seed} {len(self._threads)}")))
        self._threads.append(thread)
        thread.start()

    def _run(self, work, rng):
        try:
            work(rng, self._stop.is_set)
        except Exception as error:
            self._errors.append(error)
            self._stop.set()

    def running(self):
        return not self._stop.is_set()

    def finish(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self._errors:
            raise self._errors[0]


def pieces(rng, stopped, most):
    """Payloads until told to stop, or so many."""
    for _ in range(most):
        if stopped():
            return
        yield content(rng, rng.choice([1, 10, 100, 1000, 20000]))
        time.sleep(0.001)


def talk(address, most, totals):
    def work(rng, stopped):
        while not stopped():
            stream = Stream(address, pieces(rng, stopped, most), source=rng.choice(SOURCES))
            stream.run()
            totals.append(stream.sent.size)
    return work


def send_datagrams(address, totals):
    def work(rng, stopped):
        with udp_client(address) as client:
            while not stopped():
                text = b"%d " % rng.randrange(1000) + content(rng, rng.choice([1, 100, 5000]))
                client.send(text)
                decoder = Decoder()
                assert decoder.feed(client.recv(1 << 16)) == text and decoder.is_whole()
                totals.append(len(text))
    return work


def some_flows(rng, session):
    """A selector: all, new ones, those of a source, or one of those that exist."""
    kind = rng.randrange(5)
    if kind == 0:
        return {"new_only": True}
    if kind == 1:
        return {"source": rng.choice(SOURCES)}
    if kind == 2:
        flows = [flow["id"] for part in session.stream("Flows", listener="orders") for flow in part["flows"]]
        if flows:
            return {"flow": rng.choice(flows)}
    return {}


def change_at_random(rng, daemon, running, settings):
    """Returns how many changes were made."""
    end = time.monotonic() + SECONDS
    with daemon.varlink() as session:
        for done in range(CHANGES):
            if not running() or time.monotonic() > end:
                return done
            selector = some_flows(rng, session)
            try:
                if rng.random() < 0.1:
                    selector.pop("new_only", None)
                    session.call("Unset", target="orders", settings=["compression"], **selector)
                else:
                    session.call("Set", target="orders", settings=settings(rng), **selector)
            except VarlinkError as error:
                assert "flow" in selector, f"only the flow may have gone meanwhile: {error}"
    return CHANGES


@pytest.mark.parametrize("unit", ["stream", "payload"])
def test_no_byte_is_lost_in_changes_of_compression(serve, unit):
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")  # pytest shows it when the test fails
    rng, clients, totals = random.Random(seed), Clients(seed), []
    daemon = serve("tcp4", "udp4", target="echo", compression="zlib:1", compression_unit=unit)
    for most in (10 ** 9, 10 ** 9, 30, 3):
        clients.add(talk(daemon.addresses[0], most, totals))
    clients.add(send_datagrams(daemon.addresses[1], totals))
    try:
        changes = change_at_random(rng, daemon, clients.running, lambda r: {"compression": random_compression(r)})
    finally:
        clients.finish()
    print(f"{changes} changes, {len(totals)} streams and datagrams, {sum(totals)} bytes")
    assert changes >= (1 if is_sanitized() else CHANGES) and sum(totals) > 0
    counters = daemon.stats()["counters"]
    assert (counters["errors"], counters["lost_bytes"], counters["tx_dropped"]) == (0, 0, 0)
