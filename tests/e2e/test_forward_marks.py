# SPDX-License-Identifier: MIT
"""Target forward: the marks of both legs, what is passed on of them, and where connections to the upstream come from."""
import random
import socket
import struct
import subprocess

import pytest

from harness.daemon import as_user
from harness.relay import Mover, Reader, accept, open_upstream, text_of
from harness.sockets import (IP_RECVTOS, IPV6_RECVTCLASS, IPV6_TCLASS, connect, open_socket, read_exactly, receive_marked,
                             set_tos, udp_client)
from harness.waiting import eventually
from harness.wire import Capture

EF, CS1, AF41, AF21, LE = 46, 8, 34, 18, 1
KINDS = [("tcp4", "tcp4"), ("tcp6", "tcp6"), ("tcp4", "tcp6"), ("tcp6", "tcp4"), ("tcp46", "tcp4")]
DATAGRAM_KINDS = [("udp4", "udp4"), ("udp6", "udp6"), ("udp4", "udp6"), ("udp6", "udp4"), ("udp46", "udp4")]


def talk(pair, message):
    """Both ways, through the relay."""
    pair.client.sendall(message)
    assert read_exactly(pair.server, len(message)) == message
    pair.server.sendall(message)
    assert read_exactly(pair.client, len(message)) == message


def marks_to(wire, address, containing=None, flags=None):
    """Of what was sent there, so far."""
    return {p.dscp for p in wire.packets() if p.destination == address
            and (containing is None or containing in p.payload) and (flags is None or p.flags == flags)}


@pytest.mark.wire
@pytest.mark.parametrize("kind, to", KINDS)
def test_each_leg_has_its_mark_from_the_syn_on(relay, kind, to):
    made = relay(kind, to=[to], client_leg={"dscp": "EF"}, upstream_leg={"dscp": "AF21"})
    port, upstream = made.daemon.address[1], made.upstreams[0].getsockname()[:2]
    with Capture(port) as client_wire, Capture(upstream[1]) as upstream_wire:
        pair = made.pair()
        talk(pair, b"before")
        assert marks_to(upstream_wire, upstream) == {AF21}
        assert {p.dscp for p in client_wire.sent(flags="SA")} == {EF}
        assert {p.dscp for p in client_wire.sent(containing=b"before")} == {EF}
        result = made.daemon.set(settings={"client.dscp": "AF41", "upstream.dscp": "CS1"})
        assert {key["outcome"] for key in result["keys"]} == {"applied"}
        talk(pair, b"after")
        assert marks_to(upstream_wire, upstream, b"after") == {CS1}
        assert {p.dscp for p in client_wire.sent(containing=b"after")} == {AF41}
        flow, = made.daemon.flows()
        assert (flow["client_leg"]["dscp"], flow["upstream_leg"]["dscp"]) == ("AF41", "CS1")
        made.daemon.set(settings={"dscp": "LE"})
        talk(pair, b"both")
        assert marks_to(upstream_wire, upstream, b"both") == {LE}
        assert {p.dscp for p in client_wire.sent(containing=b"both")} == {LE}
        late = made.pair()
        talk(late, b"late")
        assert marks_to(upstream_wire, upstream, flags="S") == {AF21, LE}
        assert marks_to(upstream_wire, upstream, b"late") == {LE}


@pytest.mark.parametrize("kind, to", DATAGRAM_KINDS)
def test_each_leg_of_a_session_has_its_mark(serve, closing, kind, to):
    upstream = closing(open_socket(to))
    daemon = serve(kind, target="forward", upstream=[text_of(upstream)], client_leg={"dscp": "EF"},
                   upstream_leg={"dscp": "AF21"})
    upstream.settimeout(30)
    ask_for_marks(upstream)
    with udp_client(daemon.address, marks=True) as client:
        for value, (up, down) in ((None, (AF21, EF)), ({"upstream.dscp": "LE"}, (LE, EF)), ({"client.dscp": "CS1"}, (LE, CS1)),
                                  ({"dscp": "AF41"}, (AF41, AF41))):
            if value:
                assert {key["outcome"] for key in daemon.set(settings=value)["keys"]} == {"applied"}
            client.send(b"x")
            assert answer_marked(upstream, b"y") == up
            assert receive_marked(client) == (b"y", down << 2)


def ask_for_marks(sock):
    sock.setsockopt(socket.IPPROTO_IP, IP_RECVTOS, 1)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVTCLASS, 1)


def answer_marked(sock, data, dscp=0):
    """Receives a datagram and answers with this mark; the mark that it had."""
    _, ancillary, _, peer = sock.recvmsg(65536, 256)
    mark, = (struct.unpack("i", value[:4])[0] if len(value) >= 4 else value[0] for level, kind, value in ancillary
             if (level, kind) in ((socket.IPPROTO_IP, socket.IP_TOS), (socket.IPPROTO_IPV6, IPV6_TCLASS)))
    set_tos(sock, dscp << 2)
    sock.sendto(data, peer)
    return mark >> 2


# What is passed on

MAP = ["EF=AF41", "CS1=LE"]
MAPPED = {EF: AF41, CS1: LE, AF21: AF21, 0: 0}


@pytest.mark.wire
@pytest.mark.parametrize("mapped", [False, True], ids=["as is", "mapped"])
@pytest.mark.parametrize("kind, to", KINDS)
def test_mark_of_the_handshake_is_passed_on(relay, kind, to, mapped):
    made = relay(kind, to=[to], upstream_leg={"dscp": "passthrough"}, dscp_map=MAP if mapped else [])
    upstream = made.upstreams[0].getsockname()[:2]
    for mark in (EF, CS1, AF21):
        with Capture(upstream[1]) as wire:
            pair = made.pair(tos=mark << 2)
            talk(pair, b"x")
            assert marks_to(wire, upstream) == {MAPPED[mark] if mapped else mark}


@pytest.mark.wire
def test_latest_mark_is_passed_on_over_ipv6(relay):
    made = relay("tcp6", to=["tcp6"], dscp="passthrough", dscp_map=MAP)
    port, upstream = made.daemon.address[1], made.upstreams[0].getsockname()[:2]
    with Capture(port) as client_wire, Capture(upstream[1]) as wire:
        pair = made.pair(tos=AF21 << 2)
        talk(pair, b"first")
        set_tos(pair.client, EF << 2)
        talk(pair, b"second")
        talk(pair, b"third")
        assert marks_to(wire, upstream, b"first") == {AF21} and marks_to(wire, upstream, b"third") == {AF41}
        set_tos(pair.server, CS1 << 2)
        talk(pair, b"fourth")
        talk(pair, b"fifth")
        assert {p.dscp for p in client_wire.sent(containing=b"fifth")} == {LE}
        flow, = made.daemon.flows()
        assert flow["upstream_leg"]["dscp_received"] == "CS1" and flow["client_leg"]["dscp_received"] == "EF"


@pytest.mark.parametrize("kind, to", DATAGRAM_KINDS)
def test_mark_of_each_datagram_is_passed_on(serve, closing, kind, to):
    upstream = closing(open_socket(to))
    upstream.settimeout(30)
    ask_for_marks(upstream)
    daemon = serve(kind, target="forward", upstream=[text_of(upstream)], dscp="passthrough", dscp_map=MAP)
    with udp_client(daemon.address, marks=True) as client:
        for mark, back in ((EF, CS1), (0, EF), (AF21, 0), (CS1, AF21), (EF, AF21)):
            set_tos(client, mark << 2)
            client.send(b"x")
            assert answer_marked(upstream, b"y", back) == MAPPED[mark]
            assert receive_marked(client) == (b"y", MAPPED[back] << 2)


@pytest.mark.parametrize("version", ["4", "6"])
def test_router_counts_the_marks_of_both_legs(make_daemon, routed, closing, version):
    """Between the relay and those at either side: TCP from the SYN on, UDP, and both after a change of each leg."""
    at = routed.V4 if version == "4" else routed.V6
    text = {name: host if version == "4" else f"[{host}]" for name, host in at.items()}
    with routed.inside("upstream"):
        stream = closing(open_socket(f"tcp{version}", at["upstream"], 7200))
        datagrams = closing(open_socket(f"udp{version}", at["upstream"], 7200))
    for sock in (stream, datagrams):
        sock.settimeout(30)
    daemon = make_daemon({"listeners": {"orders": {
        "target": "forward", "client_leg": {"dscp": "AF21"}, "upstream_leg": {"dscp": "CS1"},
        "upstream": [f"{p}:{text['upstream']}:7200" for p in ("tcp", "udp")],
        "listen": [f"{p}:{text['relay']}:7100" for p in ("tcp", "udp")]}}}, prefix=routed.command("relay")).start()
    marks = (0, AF21, CS1, EF, LE)
    routed.count("router", 7100, marks, "sport", "forward", "client_leg")
    routed.count("router", 7200, marks, "dport", "forward", "upstream_leg")
    with routed.inside("client"):
        client = closing(connect((at["relay"], 7100)))
        asker = closing(udp_client((at["relay"], 7100)))
    server = closing(accept(stream))

    def both():
        """Two packets at least of each protocol on each leg."""
        client.sendall(b"x")
        assert read_exactly(server, 1) == b"x"
        server.sendall(b"y")
        assert read_exactly(client, 1) == b"y"
        asker.send(b"x")
        data, session = datagrams.recvfrom(64)
        datagrams.sendto(b"y", session)
        assert (data, asker.recv(64)) == (b"x", b"y")

    def passed(leg):
        return {mark: n for mark, n in routed.counted("router", leg).items() if n}

    both()
    assert set(passed("client_leg")) == {AF21} and set(passed("upstream_leg")) == {CS1}
    daemon.set(settings={"client.dscp": "EF", "upstream.dscp": "LE"})
    before = passed("client_leg")[AF21], passed("upstream_leg")[CS1]
    assert min(before) >= 3, "SYN or SYN-ACK, data and datagram"
    both()
    after = passed("client_leg"), passed("upstream_leg")
    assert after[0].pop(EF) >= 2 and after[1].pop(LE) >= 2
    assert after == ({AF21: before[0]}, {CS1: before[1]}), "nothing goes on as before"


def test_swapped_marks_swap_the_classes_that_carry_them(make_daemon, link, closing):
    """A congested link where the class of EF gets four fifths, that of LE the rest."""
    classes = {"1:10": ("32mbit", EF, 60_000), "1:20": ("8mbit", LE, 60_000)}
    link.divide("server", "40mbit", classes)
    readers = []
    with link.inside("client"):
        listening = [closing(open_socket("tcp4", link.V4["client"])) for _ in classes]
    daemon = make_daemon({"listeners": {
        name: {"target": "forward", "upstream": [text_of(sock)], "upstream_leg": {"dscp": mark, "congestion": "cubic"},
               "listen": [f"tcp:127.0.0.1:{port}"]}
        for name, sock, mark, port in zip(("gold", "rest"), listening, ("EF", "LE"), (7101, 7102))}},
        prefix=link.command("server")).start()
    for sock, port in zip(listening, (7101, 7102)):
        sock.settimeout(30)
        with link.inside("server"):
            client = closing(connect(("127.0.0.1", port)))
        readers.append(Reader(closing(accept(sock))))
        Mover(client, 1 << 60, random.Random(port))

    def carried():
        """Of the next 3 MB: the share of the first class, and that of the first flow."""
        before, begin = link.divided("server"), [reader.received.size for reader in readers]
        eventually(lambda: sum(reader.received.size for reader in readers) >= sum(begin) + 3_000_000, "3 MB")
        now, sizes = link.divided("server"), [reader.received.size for reader in readers]
        by_class, by_flow = [now[name] - before[name] for name in classes], [b - a for a, b in zip(begin, sizes)]
        return by_class[0] / sum(by_class), by_flow[0] / sum(by_flow)

    def settled(low, high):
        """The first class has its four fifths, and the first flow this share."""
        eventually(lambda: (got := carried()) and 0.7 < got[0] < 0.9 and low < got[1] < high, lambda: f"shares; they are {carried()}")

    def ids():
        return {flow["listener"]: flow["id"] for flow in daemon.flows()}

    settled(0.7, 0.9)
    before = ids()
    assert daemon.ctl("set", "gold", "upstream.dscp=LE").status == daemon.ctl("set", "rest", "upstream.dscp=EF").status == 0
    settled(0.1, 0.3)  # the first class carries the other flow now
    assert ids() == before, "all of it on the same connections"


# Where connections come from

@pytest.mark.parametrize("source, to", [("127.0.0.9", "4"), ("::1", "6")])
def test_source_address(serve, closing, source, to):
    stream, datagrams = closing(open_upstream(f"tcp{to}")), closing(open_socket(f"udp{to}"))
    daemon = serve("tcp4", "udp4", target="forward", upstream=[text_of(stream), text_of(datagrams)], source=source)
    for _ in range(3):
        client = closing(connect(daemon.address))
        sock, peer = stream.accept()
        closing(sock)
        assert peer[0] == source
    with udp_client(daemon.addresses[1]) as client:
        client.send(b"x")
        assert datagrams.recvfrom(64)[1][0] == source


@pytest.mark.parametrize("version", ["4", "6"])
def test_source_is_the_client(make_daemon, link, closing, version):
    """The upstream's answers are led back here by a rule."""
    end = (link.V4 if version == "4" else link.V6)
    bracketed = {name: host if version == "4" else f"[{host}]" for name, host in end.items()}
    server = ["ip", f"-{version}", "-n", link.names["server"]]
    for words in (["rule", "add", "sport", "7200", "priority", "50", "lookup", "100"],
                  ["route", "add", "local", "default", "dev", "lo", "table", "100"],
                  ["rule", "add", "priority", "100", "lookup", "local"], ["rule", "del", "priority", "0"]):
        subprocess.run([*server, *words], check=True)
    with link.inside("server"):
        stream = closing(open_socket(f"tcp{version}", end["server"], 7200))
        datagrams = closing(open_socket(f"udp{version}", end["server"], 7200))
    for sock in (stream, datagrams):
        sock.settimeout(10)
    daemon = make_daemon({"listeners": {"orders": {
        "target": "forward", "source": "client", "upstream": [f"{p}:{bracketed['server']}:7200" for p in ("tcp", "udp")],
        "listen": [f"{p}:{bracketed['server']}:7100" for p in ("tcp", "udp")]}}}, prefix=link.command("server")).start()
    with link.inside("client"):
        client = closing(connect((end["server"], 7100)))
        asker = closing(udp_client((end["server"], 7100)))
    client.sendall(b"ping")
    sock, peer = stream.accept()
    closing(sock)
    assert peer[0] == end["client"]
    assert read_exactly(sock, 4) == b"ping"
    sock.sendall(b"pong")
    assert read_exactly(client, 4) == b"pong"
    asker.send(b"ping")
    data, peer = datagrams.recvfrom(64)
    assert (data, peer[0]) == (b"ping", end["client"])
    datagrams.sendto(b"pong", peer)
    assert asker.recv(64) == b"pong"
    assert daemon.stats()["counters"]["upstream_errors"] == 0


@pytest.mark.root
def test_source_client_without_the_capability(serve, closing):
    """A clear word in the journal; the upstream is not to blame."""
    stream, datagrams = closing(open_upstream("tcp4")), closing(open_socket("udp4"))
    daemon = serve("tcp4", "udp4", target="forward", upstream=[text_of(stream), text_of(datagrams)], source="client",
                   max_failures=1, start_options={"prefix": as_user("--clear-groups"), "control_passed": True})
    with pytest.raises(ConnectionResetError), connect(daemon.address) as client:
        client.recv(1)
    with udp_client(daemon.addresses[1]) as client:
        client.send(b"x")
        daemon.wait_counters(refused_unavailable=1)
    daemon.wait_log("tcp:.* did not take a flow: .*not permitted.*CAP_NET_ADMIN")
    assert {row["state"] for row in daemon.call("Upstreams")["upstreams"]} == {"up"}
