# SPDX-License-Identifier: MIT
"""Marks that the daemon receives, and what the kernel dropped."""
import pytest

from harness.datagrams import stopped
from harness.sockets import address_of, connect, read_exactly, set_tos, udp_client
from harness.waiting import eventually

DATAGRAM_FAMILIES = [("udp4", "127.0.0.1"), ("udp6", "::1"), ("udp46", "127.0.0.1"), ("udp46", "::1")]
STREAM_FAMILIES = [("tcp4", "127.0.0.1", "handshake"), ("tcp6", "::1", "latest"), ("tcp46", "127.0.0.1", "handshake"),
                   ("tcp46", "::1", "latest")]


@pytest.mark.parametrize("kind, host", DATAGRAM_FAMILIES)
def test_every_datagram_is_counted_by_its_mark(serve, kind, host):
    daemon = serve(kind, target="echo")
    with udp_client(address_of(daemon.listening[0], host)) as client:
        for tos, times in ((46 << 2, 3), (10 << 2 | 2, 2), (5 << 2 | 1, 1), (3, 4), (0, 1)):
            set_tos(client, tos)
            for _ in range(times):
                client.send(b"x")
                assert client.recv(8) == b"x"
    stats = daemon.stats()
    nonzero = {name: n for name, n in stats["dscp_received"].items() if n}
    assert nonzero == {"EF": 3, "AF11": 2, "5": 1, "CS0": 5}
    assert {name: n for name, n in stats["ecn_received"].items() if n} == {"not_ect": 4, "ect0": 2, "ect1": 1, "ce": 4}


@pytest.mark.parametrize("kind, host, label", STREAM_FAMILIES)
def test_mark_of_a_stream_is_labelled(serve, closing, kind, host, label):
    daemon = serve(kind, target="echo")
    client = closing(connect(address_of(daemon.listening[0], host), tos=46 << 2))
    client.sendall(b"x")
    read_exactly(client, 1)
    flow, = daemon.flows()
    assert (flow["dscp_received"], flow["dscp_received_label"]) == ("EF", label)
    set_tos(client, 10 << 2)
    client.sendall(b"y")
    read_exactly(client, 1)
    flow, = daemon.flows()
    assert flow["dscp_received"] == ("AF11" if label == "latest" else "EF")
    text = daemon.ctl("flows").out
    assert label in text


def test_marks_of_streams_are_in_the_counters(serve):
    daemon = serve("tcp4", target="echo")
    for tos in (46 << 2, 46 << 2, 8 << 2):
        with connect(daemon.address, tos=tos) as client:
            client.sendall(b"x")
            read_exactly(client, 1)
    assert {name: n for name, n in daemon.stats()["dscp_received"].items() if n} == {"EF": 2, "CS1": 1}


def test_datagrams_that_the_kernel_dropped_are_counted(serve):
    """A small receive buffer and a daemon that is stopped for a moment."""
    daemon = serve("udp4", target="discard", profile={"receive_buffer": "4K"})
    with udp_client(daemon.address) as client:
        with stopped(daemon):
            for _ in range(500):
                client.send(b"x" * 1000)

        def told():
            client.send(b"x")  # the count comes with the next datagram
            counters = daemon.stats()["counters"]
            return counters["kernel_drops"] > 0 and counters
        counters = eventually(told, lambda: f"kernel drops; {daemon.stats()}")
    assert 100 < counters["kernel_drops"] <= 500
    assert counters["rx_datagrams"] > 0


def test_counters_of_bytes_and_payloads(serve):
    daemon = serve("tcp4", "udp4", target="ack", reply="1234")
    with connect(daemon.addresses[0]) as client, udp_client(daemon.addresses[1]) as datagrams:
        client.sendall(b"x" * 10)
        read_exactly(client, 4)
        for _ in range(3):
            datagrams.send(b"y" * 20)
            datagrams.recv(8)
        daemon.wait_counters(accepted=1, payloads=4, replies=4, rx_bytes=70, tx_bytes=16, rx_datagrams=3, tx_datagrams=3)
    text = daemon.ctl("stats").out
    for word in ("orders", "payloads", "70"):
        assert word in text


def test_kernel_marks_survive_a_live_change(serve):
    daemon = serve("udp4", target="echo", profile={"dscp": "EF"})
    with udp_client(daemon.address, tos=34 << 2) as client:
        for mark in ("EF", "LE", "reflect"):
            daemon.set(settings={"dscp": mark})
            client.send(b"x")
            client.recv(8)
    assert daemon.stats()["dscp_received"]["AF41"] == 3
