# SPDX-License-Identifier: MIT
"""Errors that come back for replies over UDP: they reach whoever sends or reads next, and must cost it nothing."""
import socket
import threading

import pytest

from harness.bounds import Bystander
from harness.config import one_listener
from harness.datagrams import SOL_UDP, UDP_GRO, stopped
from harness.icmp import port_unreachable, raw_socket
from harness.sockets import address_of, ask_udp, udp_client
from harness.waiting import eventually

FAMILIES = [("udp4", "127.0.0.1"), ("udp6", "::1"), ("udp46", "127.0.0.1"), ("udp46", "::1")]
IP_RECVERR, IPV6_RECVERR = 11, 25


def counters(daemon):
    return daemon.stats()["counters"]


@pytest.mark.workers
@pytest.mark.parametrize("kind, host", FAMILIES)
def test_those_who_left_cost_others_nothing(serve, closing, kind, host):
    """Every other client has gone before its answer comes."""
    daemon = serve(kind, target="echo", profile={"receive_buffer": "4M"})
    address, pairs = address_of(daemon.listening[0], host), 50
    staying = [closing(udp_client(address)) for _ in range(pairs)]
    for turn in range(3):
        with stopped(daemon):
            for client in staying:
                with udp_client(address) as leaving:
                    leaving.send(b"too late")
                client.send(b"%d" % turn)
        for client in staying:
            assert client.recv(64) == b"%d" % turn
    daemon.wait_counters(rx_datagrams=6 * pairs, replies=6 * pairs, tx_datagrams=6 * pairs, tx_dropped=0)
    assert counters(daemon)["icmp_errors"] > 0
    assert not [line for line in daemon.log() if "not sent" in line]


@pytest.mark.root
@pytest.mark.workers
def test_flood_of_icmp_errors(serve, closing):
    """Forged by somebody who knows the address. Others are answered, nothing grows, and then there is silence."""
    daemon = serve("udp4", target="echo", beside=True, profile={"receive_buffer": "64K"})
    bystander = closing(Bystander(daemon))
    forger, over = closing(raw_socket()), threading.Event()
    message = port_unreachable(daemon.address, ("127.0.0.1", 9))

    def flood():
        while not over.is_set():
            forger.sendto(message, ("127.0.0.1", 0))

    threads = [threading.Thread(target=flood) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        with udp_client(daemon.address, deadline=0.5) as client:
            for i in range(300):
                def answered():
                    client.send(b"%d" % i)
                    try:
                        return client.recv(64) == b"%d" % i
                    except TimeoutError:
                        return False
                eventually(answered, "an answer")
                if i % 50 == 0:
                    bystander.assert_served()
        eventually(lambda: counters(daemon)["icmp_errors"] > 5000, "errors to be counted")
    finally:
        over.set()
        for thread in threads:
            thread.join()
    now = counters(daemon)
    assert now["tx_dropped"] == 0
    assert now["replies"] == now["rx_datagrams"] == now["tx_datagrams"]
    assert len(daemon.log()) < 50, "the log is not flooded"
    bystander.assert_grown_below(16)
    bystander.assert_quiet()


@pytest.mark.root
def test_errors_to_an_endpoint_that_only_listens(serve, closing):
    """Nobody has asked it anything."""
    daemon = serve("udp4", target="echo", beside=True)
    bystander, forger = closing(Bystander(daemon)), closing(raw_socket())
    for _ in range(2000):
        forger.sendto(port_unreachable(daemon.address, ("127.0.0.1", 9)), ("127.0.0.1", 0))
    eventually(lambda: counters(daemon)["icmp_errors"] > 0, "errors to be counted")
    bystander.assert_quiet()
    assert ask_udp(daemon.address, b"x") == b"x"


@pytest.mark.root
def test_errors_while_replies_wait_and_no_room_is_left(serve, closing, link):
    """Neither to send nor for the errors."""
    link.slow_down("server", "8kbit")
    with link.inside("server"):
        daemon = serve("udp4", hosts={"udp4": link.V4["server"]}, target="echo", beside=True,
                       profile={"receive_buffer": "16K", "send_buffer": "8K"})
        bystander, forger = closing(Bystander(daemon)), closing(raw_socket())
    with link.inside("client"):
        client = closing(udp_client(daemon.address))
    for _ in range(1000):
        client.send(b"x" * 1000)
    for _ in range(100):
        forger.sendto(port_unreachable(daemon.address, ("127.0.0.1", 9)), (daemon.address[0], 0))
    bystander.assert_quiet()
    now = counters(daemon)
    assert now["rx_datagrams"] < 500 and now["tx_dropped"] == 0


@pytest.mark.root
def test_an_unclaimed_socket_is_left_alone(serve, closing):
    daemon = serve("udp4", target="echo", beside=True)
    bystander, forger = closing(Bystander(daemon)), closing(raw_socket())
    tree = one_listener("echo", name="beside")
    daemon.write(tree)
    assert daemon.call("Reload")["removed"] == ["orders"]
    assert armed(daemon.listening[0]) == [0, 0]
    for _ in range(2000):
        forger.sendto(port_unreachable(daemon.address, ("127.0.0.1", 9)), ("127.0.0.1", 0))
    bystander.assert_quiet()
    tree["listeners"]["orders"] = {"target": "echo"}
    daemon.write(tree)
    assert daemon.call("Reload")["added"] == ["orders"]
    assert ask_udp(daemon.address, b"x") == b"x"
    assert counters(daemon)["icmp_errors"] == 0


# Options that outlive the daemon

def armed(sock):
    """What the daemon turns on while it serves a UDP socket."""
    options = [(SOL_UDP, UDP_GRO), (socket.IPPROTO_IP, IP_RECVERR)]
    if sock.family == socket.AF_INET6:
        options.append((socket.IPPROTO_IPV6, IPV6_RECVERR))
    return [sock.getsockopt(*option) for option in options]


@pytest.mark.parametrize("kind", ["udp4", "udp6", "udp46"])
@pytest.mark.parametrize("how", ["stop", "crash"])
def test_who_reads_the_socket_next_finds_it_as_it_was(serve, kind, how):
    daemon = serve(kind, target="echo")
    sock = daemon.listening[0]
    before = [0] * len(armed(sock))
    assert all(armed(sock))
    if how == "crash":
        daemon.kill()
        daemon.stop()
        assert all(armed(sock)), "a crash leaves them; the next run puts them back"
        daemon.write("listeners = { };")
        daemon.start()
    daemon.stop()
    assert armed(sock) == before
