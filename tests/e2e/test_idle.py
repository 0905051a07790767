# SPDX-License-Identifier: MIT
"""exit_on_idle: the daemon ends when nothing comes, and whatever comes meanwhile waits for the next start."""
import socket
import time

import pytest

from harness.sockets import address_of, ask_tcp, ask_udp, connect, free_port, get_tos, open_socket, read_exactly, \
    set_tos, udp_client
from harness.waiting import eventually

IDLE = {"exit_on_idle": "1s"}


def ended(daemon):
    return daemon.process.poll() is not None


def let_end(daemon, limit="1s"):
    """From now on, so that nothing that a test does before is too late on a slow machine."""
    daemon.drop_in("idle.conf", {"daemon": {"exit_on_idle": limit}})
    assert daemon.ctl("reload").status == 0


def test_ends_in_order_when_nothing_comes(serve):
    daemon = serve("tcp4", "udp4", daemon=IDLE)
    assert daemon.wait_exit() == 0
    daemon.wait_log(r"<5>no flows and no traffic for 1s")
    daemon.wait_log(r"<6>stopped")
    assert any(m.get("STOPPING") == "1" for m in daemon.notify.messages())


def test_next_packet_finds_the_socket_and_the_next_start_answers(serve):
    daemon = serve("tcp4", "udp4", daemon=IDLE, target="echo")
    assert daemon.wait_exit() == 0
    tcp, udp = connect(daemon.addresses[0]), udp_client(daemon.addresses[1])
    tcp.sendall(b"tcp")
    udp.send(b"udp")
    daemon.start()
    assert read_exactly(tcp, 3) == b"tcp" and udp.recv(16) == b"udp"
    tcp.close()
    udp.close()
    assert daemon.wait_exit() == 0


def test_traffic_keeps_it(serve):
    daemon = serve("tcp4", "udp4", daemon={"exit_on_idle": "2s"}, target="echo")
    until = time.monotonic() + 4.5
    while time.monotonic() < until:
        assert ask_udp(daemon.addresses[1], b"x") == b"x"
        time.sleep(0.1)
    assert not ended(daemon)


def test_what_keeps_it(serve, closing):
    """A flow; a control session; a runtime change, which would be lost; a datagram that nobody reads, for which
    systemd would start it again at once. All of them side by side, to wait only once."""
    unclaimed = closing(open_socket("udp4"))
    without, flow, session, change, unread = (serve("tcp4", target="echo") for _ in range(5))
    connection = closing(connect(flow.address))
    asking = closing(session.varlink())
    change.set(settings={"dscp": "EF"})
    unread.stop()
    unread.sockets.append(("nobody", unclaimed))
    closing(udp_client(address_of(unclaimed))).send(b"x")
    unread.start()
    for daemon in (flow, session, change, unread):
        let_end(daemon)

    time.sleep(4)
    assert not any(ended(daemon) for daemon in (without, flow, session, change, unread))

    connection.close()
    asking.close()
    change.call("Unset", target="orders")
    unclaimed.recv(16)
    for daemon in (flow, session, change, unread):
        assert daemon.wait_exit() == 0
    assert not ended(without)


@pytest.mark.workers
def test_no_datagram_is_lost_around_the_end(serve):
    """One every second or so, at all moments of the daemon's last second, with a start whenever it has ended."""
    daemon = serve("udp4", daemon=IDLE, target="echo")
    ends = 0
    with udp_client(daemon.address) as client:
        for i in range(6):
            time.sleep(1.8 + i * 0.05)
            client.send(b"%d" % i)
            if ended(daemon) or not eventually_answered(client, daemon):
                assert daemon.wait_exit() == 0
                daemon.start()
                ends += 1
            assert client.recv(16) == b"%d" % i
    assert ends > 0, "it never ended: nothing was tested"


def eventually_answered(client, daemon):
    """False: the daemon ended first."""
    def either():
        try:
            client.recv(16, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            return "answered"
        except BlockingIOError:
            return ended(daemon) and "ended"
    return eventually(either, "an answer or the end") == "answered"


def test_socket_is_left_as_it_was_found(serve):
    """Nobody remembers it while the service is down."""
    daemon = serve("tcp4", profile={"dscp": "EF"}, prepare=lambda sock: set_tos(sock, 0x28))
    assert get_tos(daemon.listening[0]) == 0xb8
    let_end(daemon)
    assert daemon.wait_exit() == 0
    assert get_tos(daemon.listening[0]) == 0x28


def test_reload_switches_it_off(serve):
    daemon = serve("tcp4", daemon={"exit_on_idle": "3s"})
    let_end(daemon, "off")
    time.sleep(5)
    assert not ended(daemon)


def test_listener_that_the_daemon_binds_is_a_fault(make_daemon):
    daemon = make_daemon({"daemon": IDLE, "listeners": {"orders": {"target": "ack", "listen": [f"tcp:127.0.0.1:{free_port()}"]}}})
    daemon.spawn()
    assert daemon.wait_exit() == 1
    daemon.exit_expected = 1
    daemon.wait_log(r"<3>.*listeners\.orders\.listen: .*exit_on_idle")


def test_reload_with_such_a_listener_is_refused(serve):
    daemon = serve("tcp4", daemon={"exit_on_idle": "1h"}, target="ack")
    daemon.drop_in("bound.conf", {"listeners": {"bound": {"target": "ack", "listen": [f"tcp:127.0.0.1:{free_port()}"]}}})
    refused = daemon.ctl("reload")
    assert refused.status == 1 and "exit_on_idle" in refused.err
    assert ask_tcp(daemon.address, b"x") == b"Received"
