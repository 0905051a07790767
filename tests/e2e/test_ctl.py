# SPDX-License-Identifier: MIT
"""sockqctl as a person or a script uses it."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios

import pytest

from harness.daemon import SOCKQCTL, environment, sockqctl
from harness.sockets import connect, open_socket, address_of, read_exactly
from harness.waiting import DEADLINE
from harness.wire import Capture


@pytest.fixture
def daemon(serve):
    return serve("tcp4", "udp4", target="echo", profile={"dscp": "CS1"})


@pytest.fixture
def client(daemon, closing):
    client = closing(connect(daemon.address))
    client.sendall(b"hello")
    read_exactly(client, 5)
    return client


def endpoint(protocol, address):
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"{protocol}:{host}:{address[1]}"


# Exit statuses

@pytest.mark.parametrize("words, status", [
    (["status"], 0), (["set", "orders", "dscp=EF"], 0), (["set", "orders", "dscp=EF", "--new-only"], 0),
    (["set", "orders", "decompression=zlib"], 0), (["unset", "orders"], 0), (["get", "orders", "dscp"], 0),
    (["set", "orders", "dscp=EFF"], 1), (["set", "nobody", "dscp=EF"], 1), (["get", "orders", "dcsp"], 1),
    (["set", "orders", "congestion=nosuch"], 1), (["close", "--flow", "0.9999.1"], 1), (["flows", "nobody"], 1),
    ([], 2), (["stauts"], 2), (["set", "orders"], 2), (["set", "orders", "dscp"], 2), (["status", "extra"], 2),
    (["--nonsense", "status"], 2), (["get", "orders"], 2), (["set", "orders", "dscp=EF", "tos=0x10"], 1),
    (["send", "sctp:127.0.0.1:1"], 2), (["stats", "--watch", "never"], 2), (["help"], 0), (["version"], 0),
    (["log-level", "debug"], 0), (["log-level", "loud"], 1), (["reload"], 0),
])
def test_exit_status(daemon, words, status):
    result = daemon.ctl(*words)
    assert result.status == status, result
    assert result.status == 0 or result.err


def test_daemon_not_reachable(tmp_path):
    result = sockqctl("--control", tmp_path / "nothing", "status")
    assert result.status == 3 and str(tmp_path / "nothing") in result.err


@pytest.mark.parametrize("words, near", [
    (["stauts"], "status"), (["lisetners"], "listeners"), (["set", "orders", "dcsp=EF"], "dscp"),
    (["set", "orders", "dscp=EFF"], "EF"), (["set", "order", "dscp=EF"], "orders"), (["get", "profile:bsae", "dscp"], "base"),
    (["help", "dcsp"], "dscp"), (["status", "--jason"], "--json"),
])
def test_mistyped_word_suggests_the_near_one(daemon, words, near):
    result = daemon.ctl(*words)
    assert result.status in (1, 2) and near in result.err


# JSON

def values_of(text):
    decoder, values, at = json.JSONDecoder(), [], 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        value, at = decoder.raw_decode(text, at)
        values.append(value)
    return values


@pytest.mark.parametrize("words, contains", [
    (["status"], ["version", "listeners", "unclaimed", "features", "workers", "uptime_usec"]),
    (["listeners"], ["listeners"]), (["show"], ["scopes"]), (["show", "orders"], ["scopes"]),
    (["get", "orders", "dscp"], ["value", "origin"]), (["set", "orders", "dscp=EF"], ["keys", "flows"]),
    (["unset", "orders"], ["keys"]), (["flows"], ["flows"]), (["stats"], ["listeners"]), (["reload"], ["files", "added"]),
    (["log-level"], ["log_level"]), (["log-level", "info"], ["old", "new"]), (["help"], ["verbs"]),
    (["help", "settings"], ["settings"]), (["help", "dscp"], ["setting"]), (["version"], []),
    (["close", "orders"], ["closed"]),
])
def test_json_of_each_verb(daemon, client, words, contains):
    result = daemon.ctl("--json", *words)
    assert result.status == 0, result.err
    value, = values_of(result.out)
    for key in contains:
        assert key in value


def test_json_of_flows_is_complete(daemon, client):
    flow, = daemon.ctl("flows", "--json").json()["flows"]
    assert flow["listener"] == "orders" and flow["protocol"] == "tcp" and flow["state"] == "open"
    assert flow["peer"] == "{}:{}".format(*client.getsockname())
    assert (flow["rx_bytes"], flow["tx_bytes"], flow["dscp"]) == (5, 5, "CS1")
    assert flow["rtt_usec"] >= 0 and flow["retransmits"] == 0 and flow["age_usec"] > 0


def test_json_error_goes_to_stderr_only(daemon):
    result = daemon.ctl("--json", "set", "orders", "dscp=EFF")
    assert result.status == 1 and result.err


# Text

def test_status_at_a_glance(daemon, client):
    text = daemon.ctl("status").out
    for word in ("orders", "echo", f"127.0.0.1:{daemon.address[1]}", "tcp", "udp"):
        assert word in text


def test_show_says_what_is_inherited(daemon):
    daemon.ctl("set", "orders", "ttl=77")
    text = daemon.ctl("show", "orders").out
    assert re.search(r"dscp\s+CS1\s+profile", text)
    assert re.search(r"ttl\s+77\s+listener \(runtime\)", text)


def test_get_prints_the_bare_value(daemon):
    assert daemon.ctl("get", "orders", "dscp").out == "CS1\n"
    assert daemon.ctl("get", "orders", "tos").out == "0x20\n"
    assert daemon.ctl("get", "profile:base", "dscp").out == "CS1\n"


def test_set_shows_counts_and_read_back(daemon, client):
    text = daemon.ctl("set", "orders", "dscp=EF", "decompression=zlib").out
    assert re.search(r"dscp\s.*applied.*EF", text)
    assert re.search(r"decompression\s.*new flows", text)


def test_set_failure_names_errno_cause_and_remedy(daemon, client):
    result = daemon.ctl("set", "orders", "congestion=nosuch")
    assert "ENOENT" in result.out + result.err and "congestion" in result.out + result.err


def test_tos_with_ecn_bits_is_explained(daemon):
    result = daemon.ctl("set", "orders", "tos=0x13")
    assert result.status == 1 and "ECN" in result.err and "0x10" in result.err


def test_flows_like_ss(daemon, client):
    text = daemon.ctl("flows").out
    assert "{}:{}".format(*client.getsockname()) in text
    for word in ("PEER", "DSCP", "RTT", "CS1"):
        assert word in text


def test_monitor_prints_events(daemon):
    process = subprocess.Popen([SOCKQCTL, "--control", daemon.control, "--json", "monitor"], stdout=subprocess.PIPE,
                               text=True, env=environment())
    try:
        seen = None
        while not seen:
            daemon.set(settings={"dscp": "EF"})
            daemon.call("Unset", target="orders")
            ready, _, _ = select.select([process.stdout], [], [], 0.1)
            if ready:
                event = json.loads(process.stdout.readline())
                if event["kind"] in ("setting-changed", "setting-unset"):  # and not the end of the start
                    seen = event
        assert seen["fields"]["SOCKQ_SETTING"] == "dscp"
    finally:
        process.send_signal(signal.SIGINT)
        process.stdout.close()
        assert process.wait(DEADLINE) in (0, 1, -signal.SIGPIPE)


def test_stats_watch_prints_samples_until_interrupted(daemon, client):
    process = subprocess.Popen([SOCKQCTL, "--control", daemon.control, "--json", "stats", "--watch", "0.1"],
                               stdout=subprocess.PIPE, text=True, env=environment())
    for _ in range(3):
        client.sendall(b"x")
        read_exactly(client, 1)
        json.loads(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    process.stdout.read()
    assert process.wait(DEADLINE) == 0


def test_log_level(daemon):
    assert daemon.ctl("log-level").out.strip() == "info"
    mark = daemon.log_mark()
    assert daemon.ctl("log-level", "debug").status == 0
    daemon.wait_log("<5>.*debug", since=mark)
    with connect(daemon.address):
        daemon.wait_log("<7>.*opened", since=mark)
    assert daemon.ctl("log-level").out.strip() == "debug"


def test_help_settings_comes_from_the_table(daemon):
    text = sockqctl("help", "settings").out
    for name in ("dscp", "tos", "receive_buffer", "compression", "max_connections_per_source", "deny"):
        assert re.search(rf"^{name}\s", text, re.M)
    assert "CAP_NET_ADMIN" in sockqctl("help", "mark").out


def test_help_of_every_verb():
    for row in sockqctl("--json", "help").json()["verbs"]:
        result = sockqctl("help", row["verb"])
        assert result.status == 0 and row["verb"] in result.out
        described = sockqctl("help", row["verb"], "--json").json()
        assert described["help"] == row["help"] and described["details"] in result.out
        assert all(f"--{option['option']}" in result.out for option in described["options"])


@pytest.mark.parametrize("host", ["tcp:[fe80::1]:7000", "udp:[fe80::1]:7000"])
@pytest.mark.ipv6
def test_send_to_a_link_local_address_without_its_interface(host):
    result = sockqctl("send", host)
    assert result.status == 1 and "[fe80::1%eth0]" in result.err


# The terminal

def on_a_terminal(*words, columns=80, **variables):
    """(exit status, output) of sockqctl with its output on a terminal so wide."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen([SOCKQCTL, *map(str, words)], stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
                               env=environment(TERM="xterm", **variables))
    os.close(theirs)
    output = b""
    try:
        while piece := os.read(ours, 65536):
            output += piece
    except OSError:  # the terminal's end
        pass
    os.close(ours)
    return process.wait(DEADLINE), output.decode().replace("\r\n", "\n")


COLOR = re.compile(r"\x1b\[[0-9;]*m")


def test_colour_only_on_a_terminal_and_not_with_no_color(daemon, client):
    words = ("--control", daemon.control, "show", "orders")
    assert not COLOR.search(daemon.ctl("show", "orders").out)
    assert COLOR.search(on_a_terminal(*words)[1])
    assert not COLOR.search(on_a_terminal(*words, NO_COLOR="1")[1])
    assert not COLOR.search(on_a_terminal(*words, "--no-color")[1])


@pytest.mark.parametrize("columns", [60, 80, 132])
@pytest.mark.parametrize("words", [["status"], ["flows"], ["show", "orders"], ["set", "orders", "dscp=EF"], ["stats"]])
def test_tables_fit_the_terminal(daemon, client, words, columns):
    status, text = on_a_terminal("--control", daemon.control, *words, columns=columns)
    assert status == 0
    if words[0] != "set":
        longest = max(COLOR.sub("", text).split("\n"), key=len)
        assert len(longest) <= columns, longest


# send

@pytest.mark.parametrize("protocol, kind", [("tcp", "tcp4"), ("tcp", "tcp6"), ("udp", "udp4"), ("udp", "udp6")])
def test_send_prints_replies_and_a_summary(serve, protocol, kind):
    daemon = serve(kind, target="ack")
    result = sockqctl("send", endpoint(protocol, daemon.address), "--count", "3", "--interval", "0", "--text", "Hello")
    assert result.status == 0, result.err
    assert result.out.count("Received") == 3
    assert "3 sent, 3 answered" in result.out


@pytest.mark.parametrize("words, mark", [(["--dscp", "EF"], "EF"), (["--tos", "0x10"], "4"), (["--dscp", "7"], "7")])
@pytest.mark.parametrize("kind", ["udp4", "udp6"])
def test_send_marks_datagrams(serve, kind, words, mark):
    daemon = serve(kind, target="echo", profile={"dscp": "reflect"})
    result = sockqctl("--json", "send", endpoint("udp", daemon.address), *words, "--count", "2", "--interval", "0")
    assert result.status == 0, result.err
    assert daemon.stats()["dscp_received"] == {mark: 2}
    assert mark in result.out, "the mark of the replies"


@pytest.mark.wire
@pytest.mark.parametrize("kind", ["tcp4", "tcp6"])
def test_send_marks_a_stream_from_the_first_packet(serve, kind):
    daemon = serve(kind, target="ack")
    with Capture(daemon.address[1]) as wire:
        assert sockqctl("send", endpoint("tcp", daemon.address), "--dscp", "EF", "--text", "Hello").status == 0
        to_daemon = [p for p in wire.packets() if p.destination[1] == daemon.address[1]]
    assert to_daemon[0].flags.startswith("S") and {p.dscp for p in to_daemon if p.flags != "R"} == {46}


def test_send_of_a_size_and_of_standard_input(serve):
    daemon = serve("tcp4", "udp4", target="echo")
    assert sockqctl("send", endpoint("tcp", daemon.addresses[0]), "--size", "64K").status == 0
    assert sockqctl("send", endpoint("udp", daemon.addresses[1]), "--stdin", stdin="from standard input").status == 0
    daemon.wait_counters(rx_bytes=65536 + len("from standard input"))
    too_much = sockqctl("send", endpoint("udp", daemon.addresses[1]), "--stdin", stdin="x" * 65508)
    assert too_much.status == 1 and "65507 bytes" in too_much.err


def test_send_to_nobody(tmp_path):
    with open_socket("udp4") as silent:
        result = sockqctl("--timeout", "0.2", "send", endpoint("udp", address_of(silent)))
        assert result.status == 1
    with open_socket("tcp4") as closed:
        address = address_of(closed)
    result = sockqctl("send", endpoint("tcp", address))
    assert result.status == 1 and "refused" in result.err.lower()


def test_send_needs_no_daemon():
    with open_socket("udp4") as server:
        process = subprocess.Popen([SOCKQCTL, "send", endpoint("udp", address_of(server)), "--text", "ping", "--dscp", "EF"],
                                   stdout=subprocess.PIPE, text=True, env=environment())
        server.settimeout(DEADLINE)
        server.setsockopt(socket.IPPROTO_IP, 13, 1)
        data, peer = server.recvfrom(64)
        assert data == b"ping"
        server.sendto(b"pong", peer)
        out, _ = process.communicate(timeout=DEADLINE)
        assert process.returncode == 0 and "pong" in out


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_closed_standard_descriptors(serve, closed):
    """No socket becomes one of them; output that cannot be written is an error."""
    daemon = serve("tcp4")
    done = subprocess.run(["sh", "-c", f'exec "$0" --control "$1" status {closed}', SOCKQCTL, daemon.control],
                          capture_output=True, text=True)
    assert done.returncode == (1 if "1>&-" in closed else 0)
    assert ("orders" in done.stdout) == ("1>&-" not in closed)
    if closed == "1>&-":
        assert "cannot write the output" in done.stderr
