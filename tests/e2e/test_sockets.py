# SPDX-License-Identifier: MIT
"""Which sockets the daemon serves, and what it says about those that it does not."""
import os
import shutil
import socket
import tempfile
from pathlib import Path

import pytest

from harness.config import one_listener
from harness.daemon import as_user, sockqctl, sockqd
from harness.sockets import address_of, ask_tcp, ask_udp, connect, free_port, is_turned_away, open_socket, udp_client
from harness.waiting import eventually

HELLO = b"Hello, Server"


def ask(sock, host=None):
    asker = ask_tcp if sock.type == socket.SOCK_STREAM else ask_udp
    return asker(address_of(sock, host), HELLO)


@pytest.mark.parametrize("kind", ["tcp4", "tcp6", "udp4", "udp6"])
def test_passed_socket_is_served(serve, kind):
    daemon = serve(kind)
    assert ask(daemon.listening[0]) == b"Received"


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_dual_stack_socket_serves_both_families(serve, protocol, host):
    daemon = serve(protocol + "46")
    assert ask(daemon.listening[0], host) == b"Received"


@pytest.mark.workers
@pytest.mark.ipv6
def test_every_socket_of_one_name_is_served(serve):
    daemon = serve("tcp4", "tcp4", "tcp6", "udp4", "udp4", "udp4", "udp6", daemon={"workers": 2})
    for _ in range(5):
        assert [ask(sock) for sock in daemon.listening] == [b"Received"] * 7
    listener, = daemon.call("Listeners")["listeners"]
    assert sorted(s["protocol"] for s in listener["sockets"]) == ["tcp"] * 3 + ["udp"] * 4
    assert {s["origin"] for s in listener["sockets"]} == {"systemd"}


def test_names_tell_the_listeners_apart(make_daemon, closing):
    first, second = closing(open_socket("tcp4")), closing(open_socket("tcp4"))
    daemon = make_daemon({"listeners": {"one": {"target": "ack", "reply": "first"},
                                        "two": {"target": "ack", "reply": "second"}}},
                         sockets=[("two", second), ("one", first)]).start()
    assert (ask(first), ask(second)) == (b"first", b"second")
    assert [listener["name"] for listener in daemon.call("Listeners")["listeners"]] == ["one", "two"]


@pytest.mark.parametrize("endpoint, client_host", [
    ("tcp:127.0.0.1:{}", "127.0.0.1"), ("udp:127.0.0.1:{}", "127.0.0.1"), ("tcp:[::1]:{}", "::1"),
    ("udp:[::1]:{}", "::1"), ("tcp:[::]:{}", "127.0.0.1"), ("tcp:[::]:{}", "::1"), ("udp:[::]:{}", "127.0.0.1"),
    ("udp:[::]:{}", "::1"), ("tcp:0.0.0.0:{}", "127.0.0.1"),
])
def test_listener_binds_its_list_in_the_foreground(make_daemon, endpoint, client_host):
    port = free_port()
    daemon = make_daemon(one_listener(listen=[endpoint.format(port)])).start()
    asker = ask_tcp if endpoint.startswith("tcp") else ask_udp
    assert asker((client_host, port), HELLO) == b"Received"
    sock, = daemon.call("Listeners")["listeners"][0]["sockets"]
    assert (sock["origin"], sock["protocol"]) == ("bound", endpoint[:3])


def test_passed_sockets_stand_in_for_the_list(make_daemon, closing):
    passed, port = closing(open_socket("tcp4")), free_port()
    daemon = make_daemon(one_listener(listen=[f"tcp:127.0.0.1:{port}"]), sockets=[("orders", passed)]).start()
    assert ask(passed) == b"Received"
    assert len(daemon.call("Listeners")["listeners"][0]["sockets"]) == 1
    with pytest.raises(ConnectionRefusedError):
        connect(("127.0.0.1", port))


def test_no_socket_at_all_is_a_clear_error(make_daemon):
    daemon = make_daemon(one_listener())
    daemon.exit_expected = None
    daemon.spawn()
    assert daemon.wait_exit() == 1
    daemon.wait_log(r"orders.*(socket|listen)")
    assert not any("READY" in message for message in daemon.notify.messages())


def test_taken_address_is_a_clear_error(make_daemon, closing):
    taken = closing(open_socket("tcp4"))
    port = taken.getsockname()[1]
    daemon = make_daemon(one_listener(listen=[f"tcp:127.0.0.1:{port}"]))
    daemon.exit_expected = None
    daemon.spawn()
    assert daemon.wait_exit() == 1
    daemon.wait_log(rf"127\.0\.0\.1:{port}.*[Aa]ddress (already )?in use")


def test_unclaimed_stream_socket_resets_and_is_shown(make_daemon, closing):
    claimed, stray = closing(open_socket("tcp4")), closing(open_socket("tcp4"))
    daemon = make_daemon(one_listener(), sockets=[("orders", claimed), ("stray", stray)]).start()
    daemon.wait_log(r"<4>.*stray")
    assert is_turned_away(address_of(stray))
    assert ask(claimed) == b"Received"
    unclaimed, = daemon.call("Status")["unclaimed"]
    assert (unclaimed["name"], unclaimed["protocol"]) == ("stray", "tcp")
    assert unclaimed["address"].endswith(f":{stray.getsockname()[1]}")
    assert "stray" in daemon.ctl("status").out


def test_unclaimed_datagram_socket_is_shown(make_daemon, closing):
    claimed, stray = closing(open_socket("udp4")), closing(open_socket("udp4"))
    daemon = make_daemon(one_listener(), sockets=[("orders", claimed), ("stray", stray)]).start()
    with udp_client(address_of(stray)) as client:
        client.send(HELLO)
    assert ask(claimed) == b"Received"
    assert [s["protocol"] for s in daemon.call("Status")["unclaimed"]] == ["udp"]


def test_reload_claims_an_unclaimed_socket(make_daemon, closing):
    claimed, stray = closing(open_socket("tcp4")), closing(open_socket("tcp4"))
    daemon = make_daemon(one_listener(), sockets=[("orders", claimed), ("stray", stray)]).start()
    daemon.write({"listeners": {"orders": {"target": "ack"}, "stray": {"target": "ack", "reply": "claimed"}}})
    assert daemon.ctl("reload").status == 0
    assert ask(stray) == b"claimed"
    assert daemon.call("Status")["unclaimed"] == []


def unix_stream():
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind("")
    sock.listen()
    return sock


def connected_stream():
    with open_socket("tcp4") as server:
        return connect(address_of(server))


def unbound_stream():
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM)


def a_file():
    return open(os.devnull, "rb")


def other_protocol(kind, number):
    try:
        sock = socket.socket(socket.AF_INET, kind, number)
    except OSError as error:
        pytest.skip(f"no protocol {number} here: {error.strerror}")
    sock.bind(("127.0.0.1", 0))
    return sock


def multipath_stream():
    """As SocketProtocol=mptcp gives it."""
    sock = other_protocol(socket.SOCK_STREAM, 262)
    sock.listen()
    return sock


def udp_lite():
    return other_protocol(socket.SOCK_DGRAM, 136)


@pytest.mark.parametrize("make", [unix_stream, connected_stream, unbound_stream, a_file, multipath_stream, udp_lite])
def test_descriptor_of_the_wrong_kind_is_refused_by_name(make_daemon, closing, make):
    good, wrong = closing(open_socket("tcp4")), closing(make())
    daemon = make_daemon(one_listener(), sockets=[("orders", good), ("orders-wrong", wrong)])
    daemon.exit_expected = None
    daemon.start()
    daemon.wait_log(r"<3>.*orders-wrong")
    assert ask(good) == b"Received"


def test_control_socket_named_varlink_is_used_and_left_alone(make_daemon, closing):
    daemon = make_daemon(one_listener(), sockets=[("orders", closing(open_socket("tcp4")))], control_passed=True).start()
    assert daemon.ctl("status").status == 0
    daemon.stop()
    assert os.path.exists(daemon.control)


def test_control_socket_that_it_bound_is_unlinked(serve):
    daemon = serve("tcp4")
    assert os.path.exists(daemon.control)
    daemon.stop()
    assert not os.path.exists(daemon.control)


def test_control_path_from_the_environment(serve):
    daemon = serve("tcp4")
    assert sockqctl("status", SOCKQ_CONTROL=daemon.control).status == 0


def test_control_path_in_use_by_a_living_daemon_is_not_stolen(serve, make_daemon):
    daemon = serve("tcp4")
    port = free_port()
    other = make_daemon(one_listener(listen=[f"tcp:127.0.0.1:{port}"]))
    other.control = daemon.control
    other.exit_expected = None
    other.spawn()
    assert other.wait_exit() == 1
    assert daemon.ctl("status").status == 0


def test_stale_control_socket_is_replaced(serve):
    daemon = serve("tcp4")
    daemon.kill()
    assert os.path.exists(daemon.control)
    daemon.process = None
    daemon.exit_expected = 0
    daemon.start()
    assert daemon.ctl("status").status == 0


@pytest.mark.parametrize("kind, host", [("udp4", "127.0.0.1"), ("udp4", "127.0.0.2"), ("udp46", "127.0.0.2"),
                                        ("udp46", "::1")])
def test_udp_answers_from_the_address_that_was_asked(serve, kind, host):
    daemon = serve(kind, hosts={"udp4": "0.0.0.0"})
    port = daemon.listening[0].getsockname()[1]
    with udp_client(family=socket.AF_INET6 if ":" in host else socket.AF_INET) as client:
        client.sendto(HELLO, (host, port))
        data, source = client.recvfrom(64)
    assert (data, source[:2]) == (b"Received", (host, port))


@pytest.mark.root
def test_unprivileged_start_works_and_names_the_capability(make_daemon, closing):
    daemon = make_daemon(one_listener(), sockets=[("orders", closing(open_socket("tcp4")))], control_passed=True,
                         prefix=as_user("--clear-groups", "--inh-caps=-all"))
    daemon.start()
    assert ask(daemon.sockets[0][1]) == b"Received"
    result = daemon.ctl("set", "orders", "mark=7")
    assert result.status == 1
    assert "CAP_NET_ADMIN" in result.out + result.err
    result = daemon.ctl("set", "orders", "priority=7")
    assert result.status == 1 and "CAP_NET_ADMIN" in result.out + result.err
    assert daemon.value("priority")[0] != "7"


@pytest.mark.root
def test_foreground_start_of_any_user_makes_its_own_control_socket(make_daemon):
    """No systemd, no root, no --control: the socket is below $XDG_RUNTIME_DIR, and sockqctl finds it there."""
    runtime = Path(tempfile.mkdtemp(prefix="sockq-xdg-"))
    os.chown(runtime, 65534, 65534)
    port = free_port()
    as_nobody = {"prefix": as_user("--clear-groups"), "XDG_RUNTIME_DIR": runtime}
    try:
        daemon = make_daemon(one_listener(listen=[f"tcp:127.0.0.1:{port}", f"udp:127.0.0.1:{port}"]),
                             control_option=False, prefix=as_nobody["prefix"], variables={"XDG_RUNTIME_DIR": runtime}).start()
        assert ask_tcp(("127.0.0.1", port), HELLO) == ask_udp(("127.0.0.1", port), HELLO) == b"Received"
        assert (runtime / "sockq" / "org.sockq.Control").is_socket()
        assert sockqctl("set", "orders", "dscp=EF", **as_nobody).status == 0
        daemon.stop()
        assert not (runtime / "sockq" / "org.sockq.Control").exists()
    finally:
        shutil.rmtree(runtime)


def test_version_and_help():
    version = sockqd("--version")
    assert version.status == 0 and "sockq" in version.out
    usage = sockqd("--help")
    assert usage.status == 0
    for option in ("--config", "--control", "--check", "--version", "--help"):
        assert option in usage.out
    wrong = sockqd("--nonsense")
    assert wrong.status == 2 and "nonsense" in wrong.err


def test_sockets_are_not_leaked_to_the_listing(serve):
    """A closed connection leaves the list of flows."""
    daemon = serve("tcp4", target="echo")
    with connect(daemon.address) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        assert len(daemon.flows()) == 1
    eventually(lambda: daemon.flows() == [], "the flow to go")
