# SPDX-License-Identifier: MIT
"""Multicast groups and broadcasts: what reaches a UDP listener between two network namespaces, and from where it answers."""
import socket
import struct
import subprocess
import threading
import time

import pytest

from harness.config import one_listener
from harness.sockets import open_socket

V4_GROUP, V6_GROUP = "239.1.2.3", "ff02::1:3"
PORT = 7000


def groups(link):
    """What the server's interface belongs to."""
    listing = subprocess.run([*link.command("server"), "ip", "maddr", "show", "dev", "sockq0"], check=True,
                             capture_output=True, text=True).stdout
    return {line.split()[1] for line in listing.splitlines() if line.split()[0] in ("inet", "inet6")}


@pytest.fixture
def asker(link, closing):
    """asker(where): sends to a group or address from the client's end, as often as it takes, and returns who answered; None:
    nobody did."""
    def ask(host, tries=50):
        v6 = ":" in host
        with link.inside("client"):
            sock = closing(socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM))
            index = socket.if_nametoindex("sockq0")
        sock.settimeout(0.1)
        if v6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF,
                            struct.pack("4s4si", bytes(4), bytes(4), index))
        for _ in range(tries):
            try:
                sock.sendto(b"hello", (host, PORT, 0, index) if v6 else (host, PORT))
                data, peer = sock.recvfrom(64)
            except TimeoutError:
                continue
            except OSError:  # no route yet: the link is young
                time.sleep(0.1)
                continue
            assert data == b"hello"
            return peer[0]
        return None
    return ask


@pytest.fixture
def serve_at(link, make_daemon):
    def start(*listen, sockets=(), **keys):
        keys.setdefault("target", "echo")
        return make_daemon(one_listener(listen=list(listen), **keys), sockets=sockets,
                           prefix=link.command("server")).start()
    return start


V4, V6 = f"udp:0.0.0.0:{PORT}", f"udp:[::]:{PORT}"


@pytest.mark.parametrize("listen, join, host, answers", [
    (V4, V4_GROUP + "%sockq0", V4_GROUP, "10.213.0.1"),
    (V6, V4_GROUP + "%sockq0", V4_GROUP, "10.213.0.1"),
    (V6, V6_GROUP + "%sockq0", V6_GROUP, ("fe80::", "fd5c::1")),
    (V4, None, "10.213.0.255", "10.213.0.1"),
    (V6, None, "10.213.0.255", "10.213.0.1"),
    (V4, None, "255.255.255.255", "10.213.0.1"),
])
def test_what_is_sent_to_many_is_received_and_answered(serve_at, asker, link, listen, join, host, answers):
    if host == "255.255.255.255":
        subprocess.run([*link.command("client"), "ip", "route", "add", "default", "dev", "sockq0"], check=True)
    serve_at(listen, **({"join": [join]} if join else {}))
    assert asker(host).startswith(answers)


def test_target_forward_receives_them_as_well(serve_at, asker, link, closing):
    with link.inside("server"):
        upstream = closing(open_socket("udp4"))
    upstream.setblocking(True)
    serve_at(V4, target="forward", join=[V4_GROUP + "%sockq0"], upstream=["udp:127.0.0.1:%d" % upstream.getsockname()[1]])

    def echo():
        try:
            while True:
                upstream.sendto(*upstream.recvfrom(64))
        except OSError:
            pass
    threading.Thread(target=echo, daemon=True).start()
    assert asker(V4_GROUP) == "10.213.0.1"
    assert asker("10.213.0.255") == "10.213.0.1"


def test_a_reload_joins_and_leaves(serve_at, asker, link):
    other = "239.1.2.4"
    daemon = serve_at(V4, join=[V4_GROUP + "%sockq0"])
    assert asker(V4_GROUP) == "10.213.0.1"
    assert V4_GROUP in groups(link) and other not in groups(link)
    daemon.write(one_listener("echo", listen=[V4], join=[other + "%sockq0"]))
    assert "orders" in daemon.ctl("reload").out
    assert asker(other) == "10.213.0.1"
    assert V4_GROUP not in groups(link) and other in groups(link)
    assert asker(V4_GROUP, tries=3) is None
    daemon.write(one_listener("echo", listen=[V4]))
    daemon.ctl("reload")
    assert other not in groups(link)


def test_a_bad_file_changes_nothing(serve_at, asker, link):
    daemon = serve_at(V4, join=[V4_GROUP + "%sockq0"])
    daemon.write(one_listener("echo", listen=[V4], join=["239.1.2.4%sockq0", "239.1.2.5%nowhere0"]))
    result = daemon.ctl("reload")
    assert result.status != 0
    assert "239.1.2.5%nowhere0 cannot be joined on udp:0.0.0.0:7000: No such device" in result.out + result.err
    assert groups(link) >= {V4_GROUP} and not groups(link) & {"239.1.2.4", "239.1.2.5"}
    daemon.write(one_listener("echo", listen=[V4], join=[V6_GROUP + "%sockq0"]))
    result = daemon.ctl("reload")
    assert f"{V6_GROUP}%sockq0 cannot be joined: the listener has no UDP socket of its family" in \
        result.out + result.err
    assert asker(V4_GROUP) == "10.213.0.1"


def test_groups_outlive_neither_listener_nor_daemon_on_a_passed_socket(serve_at, asker, link, closing, make_daemon):
    with link.inside("server"):
        sock = closing(open_socket("udp4", "0.0.0.0", PORT))
    join = {"join": [V4_GROUP + "%sockq0", "239.1.2.4%sockq0"]}
    daemon = serve_at(sockets=[("orders", sock)], **join)
    assert asker(V4_GROUP) == "10.213.0.1"
    daemon.stop()
    assert V4_GROUP not in groups(link)
    daemon.start()
    assert asker(V4_GROUP) == "10.213.0.1"
    daemon.kill()
    assert V4_GROUP in groups(link), "the socket is still there"
    daemon.restart()
    assert asker(V4_GROUP) == "10.213.0.1", "it belongs to the group already"
    daemon.write({"listeners": {"other": {"target": "echo", "listen": ["udp:127.0.0.1:0"]}}})
    daemon.ctl("reload")
    assert not groups(link) & {V4_GROUP, "239.1.2.4"}
    daemon.write(one_listener("echo", **join))
    daemon.ctl("reload")
    assert asker("239.1.2.4") == "10.213.0.1"
