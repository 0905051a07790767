# SPDX-License-Identifier: MIT
"""Changes while connections are up, and what the answer says about them."""
import resource
import selectors
import socket

import pytest

from harness.hold import threads
from harness.refuse import refused
from harness.relay import text_of
from harness.sockets import address_of, connect, open_socket, read_exactly, receive_marked, udp_client
from harness.varlink import VarlinkError
from harness.waiting import eventually

pytestmark = pytest.mark.workers


def talk(client, message=b"hello"):
    client.sendall(message)
    assert read_exactly(client, len(message)) == message


def key_of(result, name):
    return next(key for key in result["keys"] if key["setting"] == name)


def dscp_by_peer(daemon):
    return {int(flow["peer"].rsplit(":", 1)[1]): flow["dscp"] for flow in daemon.flows()}


def port_of(client):
    return client.getsockname()[1]


@pytest.fixture
def pair(serve, closing):
    """A daemon and two connected clients, from 127.0.0.5 and 127.0.0.6."""
    daemon = serve("tcp4", target="echo", profile={"dscp": "CS1"})
    clients = [closing(connect(daemon.address, source=source)) for source in ("127.0.0.5", "127.0.0.6")]
    for client in clients:
        talk(client)
    return daemon, *clients


def test_listener_change_reaches_every_flow(pair):
    daemon, one, two = pair
    result = daemon.set(settings={"dscp": "EF"})
    assert result["flows"] == 2
    assert key_of(result, "dscp")["applied"] == 3, "a listening socket and two flows"
    assert set(dscp_by_peer(daemon).values()) == {"EF"}
    assert daemon.value("dscp") == ("EF", "listener (runtime)")


def test_profile_change_reaches_every_listener_that_uses_it(make_daemon, closing):
    sockets = {name: closing(open_socket("tcp4")) for name in ("one", "two", "other")}
    daemon = make_daemon({"profiles": {"voice": {"dscp": "CS1"}, "bulk": {"dscp": "LE"}},
                          "listeners": {"one": {"target": "echo", "profile": "voice"},
                                        "two": {"target": "echo", "profile": "voice", "dscp": "AF11"},
                                        "other": {"target": "echo", "profile": "bulk"}}},
                         sockets=sockets.items()).start()
    clients = {name: closing(connect(address_of(sock))) for name, sock in sockets.items()}
    for client in clients.values():
        talk(client)
    daemon.set("profile:voice", {"dscp": "EF"})
    assert {name: daemon.value("dscp", name) for name in sockets} == {
        "one": ("EF", "profile (runtime)"), "two": ("AF11", "listener"), "other": ("LE", "profile")}
    assert {flow["listener"]: flow["dscp"] for flow in daemon.flows()} == {"one": "EF", "two": "AF11", "other": "LE"}
    assert daemon.value("dscp", "profile:voice") == ("EF", "profile (runtime)")


def test_change_of_one_flow_stays_on_it(pair):
    daemon, one, two = pair
    flow = next(f for f in daemon.flows() if f["peer"].endswith(f":{port_of(one)}"))
    result = daemon.set(settings={"dscp": "EF"}, flow=flow["id"])
    assert (result["flows"], key_of(result, "dscp")["applied"]) == (1, 1)
    assert dscp_by_peer(daemon) == {port_of(one): "EF", port_of(two): "CS1"}
    changed, = daemon.flows(flow=flow["id"])
    assert changed["overrides"] == {"dscp": "EF"}
    assert daemon.value("dscp") == ("CS1", "profile")
    # The next wider set of that key overwrites it.
    daemon.set(settings={"dscp": "AF41"})
    assert set(dscp_by_peer(daemon).values()) == {"AF41"}
    assert daemon.flows(flow=flow["id"])[0]["overrides"] == {}


def test_change_of_a_source(pair, closing):
    daemon, one, two = pair
    result = daemon.set(settings={"dscp": "EF"}, source="127.0.0.5/32")
    assert result["flows"] == 1
    assert dscp_by_peer(daemon) == {port_of(one): "EF", port_of(two): "CS1"}
    late = closing(connect(daemon.address, source="127.0.0.5"))
    talk(late)
    assert dscp_by_peer(daemon)[port_of(late)] == "CS1", "only flows that exist"
    assert daemon.set(settings={"dscp": "AF11"}, source="127.0.0.0/29")["flows"] == 3


def test_unset_of_a_flow(pair):
    daemon, one, two = pair
    daemon.set(settings={"dscp": "EF"}, source="127.0.0.5")
    daemon.call("Unset", target="orders", settings=["dscp"], source="127.0.0.5")
    assert set(dscp_by_peer(daemon).values()) == {"CS1"}


def test_new_only(pair, closing):
    daemon, one, two = pair
    daemon.set(settings={"dscp": "EF"}, new_only=True)
    assert set(dscp_by_peer(daemon).values()) == {"CS1"}
    late = closing(connect(daemon.address))
    talk(late)
    assert dscp_by_peer(daemon)[port_of(late)] == "EF"


def test_unset_goes_back_to_the_files(pair):
    daemon, *_ = pair
    daemon.set(settings={"dscp": "EF", "ttl": "99"})
    assert daemon.call("Status")["runtime_changes"] == 2
    result = daemon.call("Unset", target="orders", settings=["dscp"])
    assert (key_of(result, "dscp")["old"], key_of(result, "dscp")["outcome"]) == ("EF", "applied")
    assert set(dscp_by_peer(daemon).values()) == {"CS1"}
    assert daemon.value("dscp") == ("CS1", "profile")
    assert daemon.value("ttl") == ("99", "listener (runtime)")
    daemon.call("Unset", target="orders")
    assert daemon.value("ttl")[1] == "default"
    assert daemon.call("Status")["runtime_changes"] == 0


def test_inherit_masks_the_file(serve, closing):
    daemon = serve("tcp4", target="echo", profile={"dscp": "CS1"},
                   prepare=lambda s: s.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0x20))
    talk(closing(connect(daemon.address)))
    assert set(dscp_by_peer(daemon).values()) == {"CS1"}
    daemon.set(settings={"dscp": "inherit"})
    assert daemon.value("dscp") == ("inherit", "listener (runtime)")
    assert daemon.listening[0].getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 0x20
    daemon.call("Unset", target="orders")
    assert daemon.listening[0].getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 8 << 2


@pytest.mark.parametrize("settings, faults", [
    ({"dcsp": "EF"}, ["dcsp"]),
    ({"dcsp": "EF", "ttl": "0", "dscp": "AF11"}, ["dcsp", "ttl"]),
    ({"dscp": "EFF"}, ["dscp"]),
    ({"dscp": "64"}, ["dscp"]),
    ({"tos": "0xbb"}, ["tos"]),
    ({"ttl": "0"}, ["ttl"]),
    ({"receive_buffer": "1024"}, ["receive_buffer"]),
    ({"nodelay": "maybe"}, ["nodelay"]),
    ({"compression": "lz99"}, ["compression"]),
    ({"deny": "10.0.0.1/8"}, ["deny"]),
    ({"dscp": "EF", "ttl": "1000", "priority": "9"}, ["ttl", "priority"]),
])
def test_a_bad_value_changes_nothing(pair, settings, faults):
    daemon, *_ = pair
    before = daemon.call("Show", listener="orders")
    with pytest.raises(VarlinkError) as caught:
        daemon.set(settings=settings)
    assert caught.value.name == "InvalidSettings"
    assert sorted(f["setting"] for f in caught.value.parameters["faults"]) == sorted(faults)
    assert all(f["reason"] for f in caught.value.parameters["faults"])
    assert daemon.call("Show", listener="orders") == before
    assert set(dscp_by_peer(daemon).values()) == {"CS1"}


def test_tos_with_ecn_bits_names_the_value_meant(pair):
    daemon, *_ = pair
    with pytest.raises(VarlinkError) as caught:
        daemon.set(settings={"tos": "0xbb"})
    reason = caught.value.parameters["faults"][0]["reason"]
    assert "ECN" in reason and "0xb8" in reason


@pytest.mark.parametrize("parameters, error", [
    ({"target": "order", "settings": {"dscp": "EF"}}, ("NoSuchListener", "suggestion", "orders")),
    ({"target": "profile:bass", "settings": {"dscp": "EF"}}, ("NoSuchProfile", "suggestion", "base")),
    ({"target": "orders", "settings": {"dscp": "EF"}, "flow": "0.77.1"}, ("NoSuchFlow", "flow", "0.77.1")),
    ({"target": "orders", "settings": {"dscp": "EF"}, "source": "nowhere"}, ("InvalidSelector", "selector", "nowhere")),
])
def test_what_does_not_exist_is_named(pair, parameters, error):
    daemon, *_ = pair
    with pytest.raises(VarlinkError) as caught:
        daemon.call("Set", parameters)
    name, field, value = error
    assert (caught.value.name, caught.value.parameters[field]) == (name, value)
    assert daemon.value("dscp") == ("CS1", "profile")


def test_unknown_setting_suggests_the_near_one(pair):
    daemon, *_ = pair
    with pytest.raises(VarlinkError) as caught:
        daemon.set(settings={"dcsp": "EF"})
    assert "'dscp'" in caught.value.parameters["faults"][0]["reason"]
    with pytest.raises(VarlinkError) as caught:
        daemon.call("Get", target="orders", setting="dcsp")
    assert (caught.value.name, caught.value.parameters["suggestion"]) == ("NoSuchSetting", "dscp")


def test_failure_on_a_socket_undoes_everything(pair):
    daemon, *_ = pair
    with pytest.raises(VarlinkError) as caught:
        daemon.set(settings={"dscp": "EF", "congestion": "nosuchalgorithm"})
    assert caught.value.name == "ChangeFailed"
    key = key_of(caught.value.parameters, "congestion")
    assert key["outcome"] == "failed" and key["errno"] == "ENOENT" and key["remedy"] and key["reason"]
    assert caught.value.parameters["undo_failed"] == 0
    assert set(dscp_by_peer(daemon).values()) == {"CS1"}
    assert daemon.value("dscp") == ("CS1", "profile")
    assert daemon.listening[0].getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 8 << 2


def test_what_cannot_be_undone_is_told(serve, closing):
    """The kernel refuses a change of the second flow, and to put the first one back."""
    daemon = serve("tcp4", target="echo", profile={"dscp": "CS1"}, daemon={"workers": 1})
    clients = [closing(connect(daemon.address)) for _ in range(2)]
    for client in clients:
        talk(client)
    worker, = threads(daemon.process.pid, "worker-")
    with refused(worker, "setsockopt", "EPERM", after=1):
        done = daemon.ctl("set", "orders", "dscp=EF")
    assert (done.status, "could not be undone on 1 socket" in done.err) == (4, True)
    assert sorted(dscp_by_peer(daemon).values()) == ["CS1", "EF"], "sockqctl flows shows them"
    assert daemon.value("dscp") == ("CS1", "profile")
    assert daemon.ctl("set", "orders", "dscp=CS1").status == 0
    assert set(dscp_by_peer(daemon).values()) == {"CS1"}


def test_each_key_has_its_own_result(pair):
    daemon, *_ = pair
    result = daemon.set(settings={"dscp": "EF", "decompression": "zlib", "send_buffer": "100K"})
    outcomes = {key["setting"]: key["outcome"] for key in result["keys"]}
    assert outcomes == {"dscp": "applied", "decompression": "deferred", "send_buffer": "applied"}
    deferred = key_of(result, "decompression")
    assert deferred["deferred"] == 2 and deferred["reason"]
    assert [r["value"] for r in key_of(result, "send_buffer")["effective"]] == ["100K"]
    listing = daemon.ctl("set", "orders", "decompression=gzip")
    assert listing.status == 0, "deferred alone is success"


def test_effective_buffer_is_what_the_kernel_says(serve, closing):
    daemon = serve("tcp4", target="echo")
    talk(closing(connect(daemon.address)))
    result = daemon.set(settings={"send_buffer": "64K"})
    assert {r["value"] for r in key_of(result, "send_buffer")["effective"]} == {"64K"}
    assert daemon.listening[0].getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * 65536
    daemon.call("Unset", target="orders")


def test_receive_buffer_over_a_small_window_scale_is_limited(serve, closing):
    """A connection accepted with a small buffer advertises at most 64K, whatever the read-back says."""
    daemon = serve("tcp4", target="echo", profile={"receive_buffer": "16K"})
    talk(closing(connect(daemon.address)))
    key = key_of(daemon.set(settings={"receive_buffer": "200K"}), "receive_buffer")
    assert key["deferred"] == 1 and "window scale" in key["reason"]


RELAY_ONLY = {"connect_timeout": "3s", "half_close_timeout": "9s"}
OF_TCP = {"nodelay": "false", "io_buffer": "32K", "idle_timeout": "9s", "max_connections": "7", "max_connections_per_source": "7",
          "rate_limit_per_flow": "1Mbit", "defer_accept": "3s"}
OF_PAYLOADS = {"compression_unit": "payload", "payload_limit": "9K", "frame_timeout": "9s"}


@pytest.mark.parametrize("kind, target, settings", [
    ("udp4", "echo", OF_TCP | OF_PAYLOADS | RELAY_ONLY | {"session_timeout": "9s", "decompression_max_ratio": "9"}),
    ("tcp4", "echo", RELAY_ONLY | {"session_timeout": "9s"}),
    ("tcp4", "forward", OF_PAYLOADS | {"session_timeout": "9s"}),
    ("udp4", "forward",
     OF_PAYLOADS | RELAY_ONLY | {"io_buffer": "32K", "idle_timeout": "9s", "compression": "zlib", "decompression": "auto",
                                 "decompression_max_ratio": "9"}),
])
def test_not_applicable(serve, closing, kind, target, settings):
    """Settings that mean nothing to what the listener does."""
    upstream = closing(open_socket(kind))
    daemon = serve(kind, target=target, **({"upstream": [text_of(upstream)]} if target == "forward" else {}))
    client = closing(connect(daemon.address) if kind == "tcp4" else udp_client(daemon.address))
    client.send(b"x")
    daemon.wait_counters(rx_bytes=1)
    keys = daemon.set(settings=settings)["keys"]
    assert {key["setting"].removeprefix("upstream.") for key in keys} == set(settings)
    assert {key["setting"]: key["outcome"] for key in keys if key["outcome"] != "not_applicable"} == {}


@pytest.mark.parametrize("kind, target", [("tcp4", "echo"), ("tcp4", "forward"), ("udp4", "forward")])
def test_admission_is_for_flows_that_come(serve, closing, kind, target):
    upstream = closing(open_socket(kind))
    daemon = serve(kind, target=target, **({"upstream": [text_of(upstream)]} if target == "forward" else {}))
    client = closing(connect(daemon.address) if kind == "tcp4" else udp_client(daemon.address))
    client.send(b"x")
    daemon.wait_counters(rx_bytes=1)
    settings = {"max_connections": "7", "max_connections_per_source": "7", "allow": "127.0.0.0/8", "deny": "10.0.0.0/8"}
    keys = daemon.set(settings=settings)["keys"]
    assert {key["setting"]: (key["outcome"], key["deferred"]) for key in keys} == dict.fromkeys(settings, ("deferred", 1))
    assert "established flows stay" in keys[0]["reason"]


def test_change_is_logged_with_old_new_scope_result_and_who(pair):
    daemon, *_ = pair
    mark = daemon.log_mark()
    daemon.set(settings={"dscp": "EF"})
    line = daemon.wait_log(r"<5>.*dscp", since=mark).string
    for word in ("orders", "CS1", "EF"):
        assert word in line
    assert "uid" in line.lower()
    mark = daemon.log_mark()
    daemon.call("Unset", target="orders", settings=["dscp"])
    daemon.wait_log(r"<5>.*orders.*dscp", since=mark)
    mark = daemon.log_mark()
    with pytest.raises(VarlinkError):
        daemon.set(settings={"congestion": "nosuchalgorithm"})
    daemon.wait_log(r"<4>.*orders.*congestion", since=mark)
    daemon.set(settings={"max_connections": "7"})
    daemon.wait_log(r"orders: max_connections \d+ -> 7: applied on 1 endpoint and 0 flows, deferred for 2, by uid", since=mark)


def test_show_says_where_each_value_comes_from(serve):
    daemon = serve("tcp4", profile={"dscp": "EF", "ttl": "9"}, priority="3")
    daemon.set(settings={"ttl": "10"})
    daemon.set("profile:base", {"nodelay": "false"})
    scopes = daemon.call("Show")["scopes"]
    assert [(s["kind"], s["name"]) for s in scopes] == [("listener", "orders"), ("profile", "base")]
    values = {v["setting"]: (v["value"], v["origin"]) for v in scopes[0]["values"]}
    assert values["dscp"] == ("EF", "profile")
    assert values["ttl"] == ("10", "listener (runtime)")
    assert values["priority"] == ("3", "listener")
    assert values["nodelay"] == ("false", "profile (runtime)")
    assert values["io_buffer"] == ("64K", "default")
    assert "tos" not in values


@pytest.mark.parametrize("kind", ["tcp4", "tcp6"])
def test_changes_while_many_talk(serve, closing, kind):
    """Every change reaches every flow, however many come one after the other, and no echo is disturbed."""
    daemon = serve(kind, target="echo", daemon={"workers": 2}, profile={"dscp": "CS1"})
    clients = [closing(connect(daemon.address)) for _ in range(100)]
    for round_ in range(20):
        for client in clients:
            client.sendall(b"round %04d" % round_)
        mark = ("EF", "AF41", "LE", "CS0")[round_ % 4]
        result = daemon.set(settings={"dscp": mark, "ttl": str(10 + round_), "send_buffer": f"{64 + round_}K"})
        assert all(key["failed"] == 0 for key in result["keys"])
        for client in clients:
            assert read_exactly(client, 10) == b"round %04d" % round_
        assert {flow["dscp"] for flow in daemon.flows()} == {mark}


@pytest.mark.ipv6
def test_change_reaches_datagram_sockets(serve):
    daemon = serve("udp4", "udp6", "udp46", target="echo", daemon={"workers": 2})
    assert key_of(daemon.set(settings={"dscp": "EF"}), "dscp")["applied"] == 3
    for sock in daemon.listening:
        with udp_client(address_of(sock), marks=True) as client:
            client.send(b"x")
            assert receive_marked(client) == (b"x", 0xB8)


def test_two_changes_at_once_are_both_done(pair):
    daemon, *_ = pair
    with daemon.varlink() as one, daemon.varlink() as two:
        for i in range(50):
            one.send("Set", {"target": "orders", "settings": {"dscp": str(i % 64)}})
            two.send("Set", {"target": "orders", "settings": {"ttl": str(i + 1)}})
        for _ in range(50):
            assert one.reply()["keys"][0]["failed"] == 0
            assert two.reply()["keys"][0]["failed"] == 0
    assert daemon.value("dscp")[0] == "49" and daemon.value("ttl")[0] == "50"


COUNT = 10_000


@pytest.fixture
def ten_thousand(serve):
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit < COUNT + 500:
        pytest.skip(f"{COUNT} connections need as many descriptors; the hard limit is {limit}")
    daemon = serve("tcp4", target="echo", profile={"dscp": "CS1"})
    clients = []
    try:
        for i in range(COUNT):
            clients.append(connect(daemon.address, source=f"127.0.2.{i % 100 + 1}"))
        daemon.wait_flows(COUNT)
        yield daemon, clients
    finally:
        for client in clients:
            client.close()


class Talker:
    """One connection that keeps a window of numbered lines in flight and checks every byte that comes back."""

    def __init__(self, client, rounds):
        client.setblocking(False)
        self.client = client
        self.expected = b"".join(b"%06d\n" % i for i in range(rounds))
        self.sent = self.received = 0

    def send(self, end):
        while self.sent < end:
            self.sent += self.client.send(self.expected[self.sent : end])

    def receive(self):
        piece = self.client.recv(65536)
        assert piece, "connection lost"
        assert piece == self.expected[self.received : self.received + len(piece)], "bytes out of order"
        self.received += len(piece)


def test_ten_thousand_connections_take_a_change(ten_thousand):
    """No connection lost, no byte out of order, while the change passes through."""
    daemon, clients = ten_thousand
    rounds, line = 6, 7
    talkers = [Talker(client, rounds) for client in clients]
    selector = selectors.DefaultSelector()
    for talker in talkers:
        selector.register(talker.client, selectors.EVENT_READ, talker)
    with daemon.varlink(deadline=120) as session:
        for talker in talkers:
            talker.send(2 * line)
        session.send("Set", {"target": "orders", "settings": {"dscp": "EF"}})
        for talker in talkers:
            talker.send(4 * line)
        result = session.reply()
    for talker in talkers:
        talker.send(rounds * line)
    waiting = COUNT
    while waiting:
        ready = selector.select(60)
        assert ready, f"{waiting} connections wait for their bytes"
        for key, _ in ready:
            key.data.receive()
            if key.data.received == rounds * line:
                selector.unregister(key.fileobj)
                waiting -= 1
    selector.close()
    change, = result["keys"]
    assert (result["flows"], change["applied"], change["failed"]) == (COUNT, COUNT + 1, 0)
    assert change["effective"] == [{"value": "EF", "sockets": COUNT + 1}]
    flows = daemon.flows()
    assert len(flows) == COUNT
    assert {flow["dscp"] for flow in flows} == {"EF"}
    assert len({flow["id"] for flow in flows}) == COUNT
    assert daemon.call("Close", listener="orders")["closed"] == COUNT
    eventually(lambda: daemon.stats()["flows"] == 0, "all flows to go")
