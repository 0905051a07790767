# SPDX-License-Identifier: MIT
"""What the service manager sees: readiness, status, watchdog, reload, stop, and sockets that outlive the daemon."""
import re
import signal
import socket

import pytest

from harness.config import one_listener
from harness.hold import held, threads
from harness.sockets import ask_tcp, connect, free_port, get_tos, is_refused, open_socket, address_of, read_exactly, read_to_end, \
    set_tos
from harness.waiting import eventually


def busy_client(closing, daemon):
    client = closing(connect(daemon.address))
    client.sendall(b"x")
    assert read_exactly(client, 1) == b"x"
    return client


def test_ready_means_every_listener_serves(make_daemon):
    ports = [free_port() for _ in range(5)]
    daemon = make_daemon({"listeners": {f"l{i}": {"target": "ack", "listen": [f"tcp:127.0.0.1:{port}"]}
                                        for i, port in enumerate(ports)}})
    daemon.start()
    for port in ports:
        assert ask_tcp(("127.0.0.1", port), b"x") == b"Received"


def test_status_text_names_listeners_flows_and_rates(serve, closing):
    daemon = serve("tcp4", target="echo")
    message = daemon.notify.wait_key("STATUS")
    assert re.search(r"\b1 listener", message["STATUS"])
    busy_client(closing, daemon)
    daemon.notify.wait(lambda m: re.search(r"\b1 flow", m.get("STATUS", "")), "STATUS with a flow")


def test_reload_is_announced(serve):
    daemon = serve("tcp4")
    since = daemon.notify.mark()
    assert daemon.ctl("reload").status == 0
    reloading = daemon.notify.wait_key("RELOADING", "1", since)
    assert int(reloading["MONOTONIC_USEC"]) > 0
    daemon.notify.wait_key("READY", "1", since)
    order = [key for m in daemon.notify.messages(since) for key in ("RELOADING", "READY") if m.get(key) == "1"]
    assert order == ["RELOADING", "READY"]


def test_watchdog_pings_while_the_workers_answer(serve):
    daemon = serve("tcp4", start_options={"watchdog_usec": 400_000})
    since = daemon.notify.mark()
    for _ in range(3):
        daemon.notify.wait_key("WATCHDOG", "1", since)
        since = daemon.notify.mark()


def test_watchdog_is_silent_while_a_worker_is_stuck(serve):
    """The main thread alone is no proof of life."""
    daemon = serve("tcp4", daemon={"workers": 2}, start_options={"watchdog_usec": 300_000})
    with held(threads(daemon.process.pid, "worker-")[-1]):
        daemon.wait_log("<2>.*worker")
        mark, since = daemon.log_mark(), daemon.notify.mark()
        daemon.wait_log("<2>.*worker", since=mark)
        assert daemon.call("Status")["state"] == "serving", "the main thread is well"
        assert not any("WATCHDOG" in message for message in daemon.notify.messages(since))
        since = daemon.notify.mark()
    daemon.notify.wait_key("WATCHDOG", "1", since)


def test_no_watchdog_unless_asked_for(serve):
    daemon = serve("tcp4")
    daemon.call("Status")
    daemon.stop()
    assert not any("WATCHDOG" in m for m in daemon.notify.messages())


def test_stop_is_announced_and_quick_without_flows(serve):
    daemon = serve("tcp4", "udp4", target="echo", daemon={"drain_timeout": "600s"})
    daemon.signal(signal.SIGTERM)
    assert daemon.wait_exit() == 0
    assert any(m.get("STOPPING") == "1" for m in daemon.notify.messages())


def test_drain_lets_flows_finish(serve, closing):
    daemon = serve("tcp4", target="echo", daemon={"drain_timeout": "600s"})
    client = busy_client(closing, daemon)
    since = daemon.notify.mark()
    daemon.signal(signal.SIGTERM)
    daemon.notify.wait_key("STOPPING", "1", since)
    extended = daemon.notify.wait_key("EXTEND_TIMEOUT_USEC", since=since)
    assert int(extended["EXTEND_TIMEOUT_USEC"]) > 0
    client.sendall(b"finishing")
    assert read_exactly(client, 9) == b"finishing"
    assert daemon.call("Status")["state"] == "draining"
    client.close()
    assert daemon.wait_exit() == 0


def test_drain_accepts_nobody(make_daemon, closing):
    port = free_port()
    daemon = make_daemon({"daemon": {"drain_timeout": "600s"}, **one_listener("echo", listen=[f"tcp:127.0.0.1:{port}"])})
    daemon.start()
    daemon.address = ("127.0.0.1", port)
    client = busy_client(closing, daemon)
    daemon.signal(signal.SIGTERM)
    daemon.notify.wait_key("STOPPING", "1")
    eventually(lambda: is_refused(("127.0.0.1", port)), "new connections to be refused")
    client.close()
    assert daemon.wait_exit() == 0


def test_drain_ends_at_its_time(serve, closing):
    daemon = serve("tcp4", target="echo", daemon={"drain_timeout": "300ms"})
    client = busy_client(closing, daemon)
    daemon.signal(signal.SIGTERM)
    assert daemon.wait_exit() == 0
    try:
        assert read_to_end(client) == b""
    except ConnectionResetError:
        pass
    daemon.wait_log(r"<5>.*1 flow")


def test_second_sigterm_ends_at_once(serve, closing):
    daemon = serve("tcp4", target="echo", daemon={"drain_timeout": "600s"})
    busy_client(closing, daemon)
    daemon.signal(signal.SIGTERM)
    daemon.notify.wait_key("STOPPING", "1")
    daemon.signal(signal.SIGTERM)
    assert daemon.wait_exit() == 0


def test_sigint_ends_it_too(serve):
    daemon = serve("tcp4")
    daemon.signal(signal.SIGINT)
    assert daemon.wait_exit() == 0


def test_clients_of_a_passed_socket_wait_for_the_next_start(serve):
    """The backlog belongs to systemd: nobody is refused during a restart."""
    daemon = serve("tcp4", target="ack")
    daemon.stop()
    with connect(daemon.address) as client:
        client.sendall(b"Hello, Server")
        daemon.start()
        assert read_exactly(client, 8) == b"Received"


def summaries(daemon, name):
    return [line for line in daemon.log() if re.match(rf"<6>{name}: ", line)]


def test_stats_summary_only_of_what_moved(make_daemon, closing):
    """The quiet listener gets no line while the busy one has several."""
    busy, quiet = closing(open_socket("tcp4")), closing(open_socket("tcp4"))
    daemon = make_daemon({"daemon": {"stats_interval": "1s"},
                          "listeners": {"busy": {"target": "echo"}, "quiet": {"target": "echo"}}},
                         sockets=[("busy", busy), ("quiet", quiet)]).start()
    with connect(address_of(busy)) as client:
        for lines in (1, 2, 3):
            client.sendall(b"0123456789")
            read_exactly(client, 10)
            eventually(lambda: len(summaries(daemon, "busy")) >= lines, lambda: "summaries; log:\n" + "\n".join(daemon.log()))
    assert summaries(daemon, "quiet") == []
    assert re.search(r"\b10\b", summaries(daemon, "busy")[0])


# Options on sockets that systemd keeps

BASE = 0x28  # AF11, as IPTOS= of a socket unit would set it
OPTIONS = [(socket.IPPROTO_IP, socket.IP_TOS, BASE), (socket.SOL_SOCKET, socket.SO_PRIORITY, 5),
           (socket.IPPROTO_TCP, socket.TCP_NODELAY, 0), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
           (socket.IPPROTO_IP, socket.IP_TTL, 77)]
CHANGES = {"dscp": "EF", "priority": "2", "nodelay": "true", "keepalive": "off", "ttl": "99"}


def unit_options(sock):
    for option in OPTIONS:
        sock.setsockopt(*option)


def found(sock):
    return [(level, name, int(bool(sock.getsockopt(level, name))) if value in (0, 1) else sock.getsockopt(level, name))
            for level, name, value in OPTIONS]


INHERIT = {key: "inherit" for key in CHANGES}


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_runtime_changes_do_not_leak_through_a_restart(serve, how):
    daemon = serve("tcp4", target="echo", profile=INHERIT, prepare=unit_options)
    sock = daemon.listening[0]
    assert found(sock) == OPTIONS, "inherit leaves what the socket unit gave"
    daemon.set(settings=CHANGES)
    assert found(sock) != OPTIONS
    assert daemon.notify.store, "what was found is kept in the descriptor store"
    if how == "stop":
        daemon.stop()
    else:
        daemon.kill()
        daemon.stop()
    daemon.start()
    assert found(sock) == OPTIONS
    assert daemon.value("dscp") == ("inherit", "profile")


def test_connection_that_waited_for_the_restart_has_no_runtime_change(serve):
    daemon = serve("tcp4", target="echo", profile=INHERIT, prepare=unit_options)
    daemon.set(settings=CHANGES)
    daemon.kill()
    daemon.stop()
    with connect(daemon.address) as client:
        daemon.start()
        flow, = daemon.wait_flows(1)
        assert flow["dscp"] == "AF11", "what the socket unit gave"
        client.sendall(b"x")
        assert client.recv(1) == b"x"


def test_crash_after_crash_still_knows_the_beginning(serve):
    daemon = serve("tcp4", target="echo", profile=INHERIT, prepare=unit_options)
    for mark in ("EF", "CS5", "LE"):
        daemon.set(settings={"dscp": mark})
        daemon.kill()
        daemon.stop()
        daemon.start()
        assert get_tos(daemon.listening[0]) == BASE
    assert len(daemon.notify.store) == 1, "one descriptor is stored, not one a start"


def test_restored_options_are_logged(serve):
    daemon = serve("tcp4", target="echo", profile=INHERIT, prepare=unit_options)
    daemon.set(settings=CHANGES)
    daemon.kill()
    daemon.stop()
    mark = daemon.log_mark()
    daemon.start()
    daemon.wait_log(r"<5>.*orders", since=mark)


def test_another_socket_is_not_given_the_old_ones_options(serve, closing):
    daemon = serve("tcp4", target="echo", profile=INHERIT, prepare=unit_options)
    daemon.set(settings=CHANGES)
    daemon.stop()
    fresh = closing(open_socket("tcp4"))
    set_tos(fresh, 0x48)
    daemon.sockets = [("orders", fresh)]
    daemon.start()
    assert get_tos(fresh) == 0x48


def test_buffers_go_back_to_autotuning(serve):
    daemon = serve("udp4", target="echo", profile={"receive_buffer": "inherit"})
    sock = daemon.listening[0]
    before = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    daemon.set(settings={"receive_buffer": "64K"})
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 131072
    daemon.call("Unset", target="orders")
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == before
    so_buf_lock = 72
    assert sock.getsockopt(socket.SOL_SOCKET, so_buf_lock) == 0
