# SPDX-License-Identifier: MIT
"""What becomes of payloads: echo, ack, discard, journal."""
import os
import re

import pytest

from harness.sockets import ask_tcp, ask_udp, connect, read_exactly, udp_client
from harness.waiting import eventually

ASK = {"tcp4": ask_tcp, "tcp6": ask_tcp, "udp4": ask_udp, "udp6": ask_udp}
KINDS = sorted(ASK)


@pytest.mark.parametrize("kind", KINDS)
def test_ack_answers_received(serve, kind):
    assert ASK[kind](serve(kind, target="ack").address, b"Hello, Server") == b"Received"


@pytest.mark.parametrize("kind", KINDS)
def test_ack_answers_with_its_own_text(serve, kind):
    assert ASK[kind](serve(kind, target="ack", reply="Gr\u00fc\u00df Gott\n").address, b"x") == "Gr\u00fc\u00df Gott\n".encode()


@pytest.mark.parametrize("kind", KINDS)
def test_echo_gives_back_every_byte_value(serve, kind):
    payload = bytes(range(256)) * 4
    daemon = serve(kind, target="echo")
    if kind.startswith("udp"):
        assert ask_udp(daemon.address, payload) == payload
        return
    with connect(daemon.address) as client:
        client.sendall(payload)
        assert read_exactly(client, len(payload)) == payload


def test_echo_of_the_largest_datagram(serve):
    payload = os.urandom(65507)
    assert ask_udp(serve("udp4", target="echo").address, payload) == payload


def test_empty_datagram_is_a_payload(serve):
    daemon = serve("udp4", target="ack")
    assert ask_udp(daemon.address, b"") == b"Received"


def test_echo_answers_datagrams_in_order(serve):
    daemon = serve("udp4", target="echo")
    with udp_client(daemon.address) as client:
        for i in range(100):
            client.send(b"%d" % i)
        assert [client.recv(64) for _ in range(100)] == [b"%d" % i for i in range(100)]


def test_discard_takes_everything_and_counts(serve):
    daemon = serve("tcp4", "udp4", target="discard")
    with connect(daemon.addresses[0]) as client, udp_client(daemon.addresses[1]) as datagrams:
        client.sendall(b"x" * 1_000_000)
        datagrams.send(b"y" * 1000)
        eventually(lambda: daemon.stats()["counters"]["rx_bytes"] >= 1_001_000, lambda: f"bytes counted: {daemon.stats()}")
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(1)
    assert daemon.stats()["counters"]["tx_bytes"] == 0


def test_echo_pushes_back_on_a_client_that_does_not_read(serve):
    """A slow reader stops the sender; nothing is lost, and the daemon's memory does not grow."""
    daemon = serve("tcp4", target="echo", profile={"receive_buffer": "64K", "send_buffer": "64K"})
    block = os.urandom(65536)
    with connect(daemon.address) as client:
        client.setblocking(False)
        sent, stalled = 0, 0
        while stalled < 50:
            try:
                sent += client.send(block[sent % len(block):])
                stalled = 0
            except BlockingIOError:
                # Not readable progress but another client's answer says that the daemon had its turn.
                daemon.call("Status")
                stalled += 1
            assert sent < 200_000_000, "the daemon swallows without end"
        memory = int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{daemon.process.pid}/status").read())[1])
        client.setblocking(True)
        client.settimeout(30)
        received = 0
        while received < sent:
            piece = client.recv(1 << 20)
            at = received % len(block)
            expected = (block[at:] + block * (len(piece) // len(block) + 1))[: len(piece)]
            assert piece == expected
            received += len(piece)
    assert memory < 600_000, "kB resident"


def test_journal_writes_each_payload(serve):
    daemon = serve("tcp4", "udp4", target="journal")
    with connect(daemon.addresses[0]) as client:
        client.sendall(b"Hello, Server")
        daemon.wait_log(r"<6>.*Hello, Server")
    with udp_client(daemon.addresses[1]) as client:
        client.send(b"a datagram")
        daemon.wait_log(r"<6>.*a datagram")


def test_journal_lets_no_control_character_through(serve):
    daemon = serve("udp4", target="journal")
    with udp_client(daemon.address) as client:
        client.send(b"before\x1b[2J\x00\n<3>forged\xff after")
        line = daemon.wait_log(r"before.*after").string
    assert not re.search(r"[\x00-\x1f\x7f]", line)
    assert not any(line.startswith("<3>forged") for line in daemon.log())


def test_journal_cuts_at_its_size(serve):
    daemon = serve("udp4", target="journal", journal_size="16B")
    with udp_client(daemon.address) as client:
        client.send(b"0123456789abcdefTHE-REST")
        daemon.wait_log(r"0123456789abcdef")
        client.send(b"next")
        daemon.wait_log("next")
    assert not any("THE-REST" in line for line in daemon.log())


def test_journal_tells_how_much_it_suppressed(serve):
    daemon = serve("udp4", target="journal", journal_rate=5, daemon={"stats_interval": "off"})
    sent = 200
    with udp_client(daemon.address) as client:
        for i in range(sent):
            client.send(b"payload-%03d-" % i)
        eventually(lambda: daemon.stats()["counters"]["payloads"] == sent, lambda: f"all counted: {daemon.stats()}")

        def told():
            written = sum("payload-" in line for line in daemon.log())
            held_back = sum(int(m[1]) for m in (re.search(r"<4>.*?(\d+) (?:payloads|entries)", line)
                                                for line in daemon.log()) if m)
            return 0 < written < sent and written + held_back == sent
        eventually(told, lambda: "written and suppressed to add up; log:\n" + "\n".join(daemon.log()))
