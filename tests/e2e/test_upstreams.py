# SPDX-License-Identifier: MIT
"""Target forward: which upstream takes a flow, how upstreams fail and come back, what an operator does with them."""
import os
import re
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest

from harness.daemon import as_user
from harness.sockets import address_of, connect, open_socket, read_exactly, send_until_stuck
from harness.upstreams import NameServer, Server, letters, whose
from harness.waiting import eventually

HEALTH = {"max_failures": 2, "failure_window": "10s", "retry_after": "200ms"}


@pytest.fixture
def servers(closing):
    """servers("abc"): one for each letter."""
    return lambda names, **where: [closing(Server(name, **where)) for name in names]


@pytest.fixture
def forward(serve):
    """forward(servers, ...): a daemon whose listener "orders" forwards to them (or to upstreams given as text)."""
    def start(targets, **keys):
        upstream = [target if isinstance(target, str) else target.upstream for target in targets]
        return serve("tcp4", target="forward", upstream=upstream, **keys)
    return start


def upstreams(daemon, listener="orders"):
    """By name."""
    return {u["upstream"]: u for u in daemon.call("Upstreams", listener=listener)["upstreams"]}


def state(daemon, server):
    name = server if isinstance(server, str) else server.upstream
    return upstreams(daemon)[name]["state"]


def wait_state(daemon, server, expected):
    eventually(lambda: state(daemon, server) == expected, lambda: f"{expected}; it is {state(daemon, server)}")


def nobody():
    """An upstream where nobody listens."""
    with open_socket("tcp4") as sock:
        return "tcp:127.0.0.1:%d" % sock.getsockname()[1]


def join(daemon, closing, letter):
    """A client whose flow this server has taken."""
    client = closing(connect(daemon.address))
    assert read_exactly(client, 1).decode() == letter
    return client


def talks(client, message=b"hello"):
    client.sendall(message)
    return read_exactly(client, len(message)) == message


# Balance


@pytest.mark.workers
def test_round_robin(servers, forward):
    daemon = forward(servers("abc"))
    assert letters(daemon.address, 9) in ("abcabcabc", "bcabcabca", "cabcabcab")


def test_least_flows(servers, forward, closing):
    daemon = forward(servers("abc"), balance="least_flows")
    held = [join(daemon, closing, letter) for letter in "abc"]
    held[1].close()
    daemon.wait_flows(2)
    join(daemon, closing, "b")
    join(daemon, closing, "a")  # the first one among equals


def test_source_hash(servers, forward):
    daemon = forward(servers("abc"), balance="source_hash")
    before = {f"127.0.1.{i}": whose(daemon.address, source=f"127.0.1.{i}") for i in range(1, 31)}
    assert set(before.values()) == set("abc")
    for source, letter in before.items():
        assert letters(daemon.address, 2, source=source) == letter * 2
    assert daemon.ctl("drain", "orders", next(u for u in upstreams(daemon))).status == 0
    for source, letter in before.items():
        assert whose(daemon.address, source=source) in ("bc" if letter == "a" else letter)


def test_first(servers, forward):
    a, b = servers("ab")
    daemon = forward([a, b], balance="first")
    assert letters(daemon.address, 3) == "aaa"
    a.stop()
    assert letters(daemon.address, 3) == "bbb"


def test_unix_socket(servers, forward, tmp_path):
    a, = servers("a", path=str(tmp_path / "app.sock"))
    daemon = forward([a])
    assert whose(daemon.address) == "a"
    row = upstreams(daemon)[a.upstream]
    assert row["connects"] == 1 and row["addresses"] == []


# Failure


@pytest.mark.workers
def test_refused_flow_goes_to_the_next(servers, forward):
    b, = servers("b")
    gone = nobody()
    daemon = forward([gone, b], balance="first", **{**HEALTH, "max_failures": 1000})
    assert letters(daemon.address, 5) == "bbbbb"
    match = daemon.wait_log(r"orders: upstream (\S+) did not take a flow: Connection refused")
    assert match[1] == gone
    rows = upstreams(daemon)
    assert (rows[gone]["failures"], rows[gone]["connects"]) == (5, 0)
    assert (rows[b.upstream]["failures"], rows[b.upstream]["connects"]) == (0, 5)
    assert rows[b.upstream]["connect_usec"] < 1_000_000


@pytest.mark.root
def test_flow_that_nobody_answers_goes_to_the_next(link, make_daemon, closing):
    """The client's end drops what comes to one port."""
    with link.inside("client"):
        a = closing(Server("a", host=link.V4["client"]))
        subprocess.run(["nft", "add table inet hole; add chain inet hole in { type filter hook input priority 0; }; "
                        "add rule inet hole in tcp dport 9999 drop"], check=True)
    hole = f"tcp:{link.V4['client']}:9999"
    with link.inside("server"):
        listening = closing(open_socket("tcp4"))
    daemon = make_daemon({"listeners": {"orders": {
        "target": "forward", "balance": "first", "connect_timeout": "200ms", "upstream": [hole, a.upstream], **HEALTH,
        "retry_after": "1h"}}}, sockets=[("orders", listening)], prefix=link.command("server")).start()
    address = address_of(listening)
    with link.inside("server"):
        assert whose(address) == "a"
        assert re.search("timed out", daemon.wait_log(rf"upstream {hole} did not take a flow: (.*)")[1])
        assert whose(address) == "a"
        wait_state(daemon, hole, "aside")
        failures = upstreams(daemon)[hole]["failures"]
        assert whose(address) == "a"
        assert upstreams(daemon)[hole]["failures"] == failures, "an upstream that is aside was tried"
    assert upstreams(daemon)[hole]["reason"] == "Connection timed out"


def test_nobody_is_left(forward):
    daemon = forward([nobody(), nobody()])
    assert whose(daemon.address) == ""
    daemon.wait_counters(upstream_errors=1)


@pytest.mark.workers
def test_put_aside_and_brought_back_by_a_flow(servers, forward):
    a, b = servers("ab")
    daemon = forward([a, b], **HEALTH)
    assert set(letters(daemon.address, 4)) == set("ab")
    a.stop()
    assert letters(daemon.address, 6) == "b" * 6
    wait_state(daemon, a, "aside")
    assert upstreams(daemon)[a.upstream]["reason"] == "Connection refused"
    daemon.wait_log(rf"orders: upstream {a.upstream} is put aside after 2 failures: Connection refused")
    a.start()
    eventually(lambda: "a" in letters(daemon.address, 2), "a flow that tries it again")
    wait_state(daemon, a, "up")
    daemon.wait_log(rf"orders: upstream {a.upstream} is back")
    assert "reason" not in upstreams(daemon)[a.upstream]


def test_those_aside_are_used_when_no_other_is_left(servers, forward):
    a, = servers("a")
    daemon = forward([a], **{**HEALTH, "retry_after": "1h"})
    a.stop()
    assert letters(daemon.address, 3) == ""
    wait_state(daemon, a, "aside")
    a.start()
    assert whose(daemon.address) == "a"
    wait_state(daemon, a, "up")


def test_killed_under_load(servers, forward):
    """Flows that were there are cut; those that come find the other one; none hangs."""
    a, b = servers("ab")
    daemon = forward([a, b], **HEALTH)
    clients = [connect(daemon.address) for _ in range(40)]
    taken = [read_exactly(client, 1) for client in clients]
    a.stop()
    for client, letter in zip(clients, taken):
        if letter == b"b":
            assert talks(client)
        else:
            try:
                assert client.recv(1) == b""
            except ConnectionResetError:
                pass
        client.close()
    assert letters(daemon.address, 20) == "b" * 20


# Checks


@pytest.mark.workers
def test_checks_need_no_flow(servers, forward):
    a, b = servers("ab")
    daemon = forward([a, b], check_interval="100ms", **{**HEALTH, "retry_after": "1h"})
    a.stop()
    wait_state(daemon, a, "aside")
    assert letters(daemon.address, 4) == "bbbb"
    a.start()
    wait_state(daemon, a, "up")
    daemon.wait_log(rf"orders: upstream {a.upstream} is back")
    rows = upstreams(daemon)
    assert rows[a.upstream]["connects"] == rows[a.upstream]["failures"] == 0  # these are of flows
    assert rows[b.upstream]["connects"] == 4


def test_checks_of_a_unix_socket(servers, forward, tmp_path):
    a, = servers("a", path=str(tmp_path / "app.sock"))
    daemon = forward([a], check_interval="100ms", **HEALTH)
    a.stop()
    wait_state(daemon, a, "aside")
    a.start()
    wait_state(daemon, a, "up")


def test_reload_begins_and_ends_checks(servers, forward):
    a, = servers("a")
    daemon = forward([a, nobody()], **{**HEALTH, "retry_after": "1h"})
    tree = {"target": "forward", "upstream": list(upstreams(daemon)), **HEALTH, "retry_after": "1h"}
    a.stop()
    daemon.write({"listeners": {"orders": {**tree, "check_interval": "100ms"}}})
    daemon.call("Reload")
    wait_state(daemon, a, "aside")
    daemon.write({"listeners": {"orders": tree}})
    daemon.call("Reload")
    a.start()
    time.sleep(0.5)  # several intervals: nothing shall happen
    assert state(daemon, a) == "aside"


def test_no_checks_unless_asked_for(servers, forward):
    a, = servers("a")
    daemon = forward([a], **HEALTH)
    a.stop()
    time.sleep(0.5)
    assert state(daemon, a) == "up"


# Orders


@pytest.mark.workers
def test_drain_lets_flows_go_on(servers, forward, closing):
    a, b = servers("ab")
    daemon = forward([a, b])
    client = next(c for c in (closing(connect(daemon.address)) for _ in range(2)) if read_exactly(c, 1) == b"a")
    result = daemon.ctl("drain", "orders", a.upstream)
    assert (result.status, result.out) == (0, f"orders: {a.upstream} enabled -> draining, 1 flow goes on\n")
    assert state(daemon, a) == "draining"
    assert letters(daemon.address, 4) == "bbbb"
    assert talks(client)
    assert daemon.ctl("enable", "orders", a.upstream).out == f"orders: {a.upstream} draining -> enabled, 1 flow goes on\n"
    assert set(letters(daemon.address, 4)) == set("ab")


@pytest.mark.workers
def test_disable_closes_flows(servers, forward, closing):
    a, b = servers("ab")
    daemon = forward([a, b])
    clients = [closing(connect(daemon.address)) for _ in range(10)]
    by_letter = {"a": [], "b": []}
    for client in clients:
        by_letter[read_exactly(client, 1).decode()].append(client)
    assert daemon.ctl("disable", "orders", a.upstream).out == f"orders: {a.upstream} enabled -> disabled, closed 5 flows\n"
    for client in by_letter["a"]:
        assert client.recv(1) == b""
        client.close()
    assert all(talks(client) for client in by_letter["b"])
    assert state(daemon, a) == "disabled"
    assert letters(daemon.address, 4) == "bbbb"
    eventually(lambda: upstreams(daemon)[a.upstream]["flows"] == 0, "no flow at what is disabled")
    daemon.ctl("enable", "orders", a.upstream)
    assert set(letters(daemon.address, 4)) == set("ab")


def test_all_disabled_turns_clients_away(servers, forward):
    a, = servers("a")
    daemon = forward([a])
    daemon.ctl("disable", "orders", a.upstream)
    assert whose(daemon.address) == ""
    daemon.ctl("enable", "orders", a.upstream)
    assert whose(daemon.address) == "a"


def test_orders_survive_a_reload_and_end_with_the_daemon(servers, forward):
    a, b = servers("ab")
    daemon = forward([a, b])
    daemon.ctl("drain", "orders", a.upstream)
    daemon.call("Reload")
    assert state(daemon, a) == "draining" and letters(daemon.address, 2) == "bb"
    assert daemon.call("Status")["runtime_changes"] == 1
    daemon.restart()
    assert state(daemon, a) == "up"
    assert daemon.call("Status")["runtime_changes"] == 0


# Adding and removing


@pytest.mark.workers
def test_add_and_remove(servers, forward, closing):
    a, b = servers("ab")
    daemon = forward([a])
    assert daemon.ctl("add-upstream", "orders", b.upstream).out == f"orders: {b.upstream} absent -> enabled\n"
    row = upstreams(daemon)[b.upstream]
    assert (row["origin"], row["state"]) == ("runtime", "up")
    assert upstreams(daemon)[a.upstream]["origin"] == "files"
    assert set(letters(daemon.address, 4)) == set("ab")
    client = next(c for c in (closing(connect(daemon.address)) for _ in range(2)) if read_exactly(c, 1) == b"b")
    result = daemon.ctl("remove-upstream", "orders", b.upstream)
    assert re.fullmatch(rf"orders: {re.escape(b.upstream)} enabled -> absent, [12] flows? goe?s? on\n", result.out)
    assert b.upstream not in upstreams(daemon)
    assert letters(daemon.address, 4) == "aaaa"
    assert talks(client), "a flow of what was removed"


def test_runtime_additions_survive_a_reload_and_end_with_the_daemon(servers, forward):
    a, b = servers("ab")
    daemon = forward([a])
    daemon.ctl("add-upstream", "orders", b.upstream)
    daemon.call("Reload")
    assert upstreams(daemon)[b.upstream]["origin"] == "runtime"
    assert set(letters(daemon.address, 4)) == set("ab")
    daemon.restart()
    assert list(upstreams(daemon)) == [a.upstream]


def test_removal_survives_a_reload(servers, forward):
    a, b, c = servers("abc")
    daemon = forward([a, b])
    daemon.ctl("remove-upstream", "orders", a.upstream)
    assert upstreams(daemon)[a.upstream]["state"] == "removed"
    daemon.write({"listeners": {"orders": {"target": "forward", "upstream": [a.upstream, b.upstream, c.upstream]}}})
    daemon.call("Reload")
    assert set(letters(daemon.address, 4)) == set("bc")
    daemon.ctl("add-upstream", "orders", a.upstream)
    assert upstreams(daemon)[a.upstream]["origin"] == "files"
    assert set(letters(daemon.address, 6)) == set("abc")


def test_reload_keeps_what_upstreams_counted(servers, forward):
    a, b, c = servers("abc")
    daemon = forward([a, b])
    letters(daemon.address, 4)
    daemon.write({"listeners": {"orders": {"target": "forward", "upstream": [c.upstream, b.upstream]}}})
    daemon.call("Reload")
    rows = upstreams(daemon)
    assert list(rows) == [c.upstream, b.upstream]
    assert (rows[b.upstream]["connects"], rows[c.upstream]["connects"]) == (2, 0)
    assert set(letters(daemon.address, 4)) == set("bc")


@pytest.mark.workers
def test_changes_while_flows_come_and_go(servers, forward):
    """At random, all of them; not one flow may fail while an upstream is left."""
    a, b, c = servers("abc")
    daemon = forward([a, b], check_interval="100ms")
    words = [["add-upstream", "orders", c.upstream], ["drain", "orders", b.upstream], ["remove-upstream", "orders", c.upstream],
             ["enable", "orders", b.upstream], ["remove-upstream", "orders", b.upstream], ["reload"],
             ["add-upstream", "orders", b.upstream], ["upstreams"]]
    for i in range(40):
        assert daemon.ctl(*words[i % len(words)]).status == 0
        assert whose(daemon.address) in "abc", words[i % len(words)]


# What may go wrong


@pytest.mark.parametrize("words, expected", [
    (["drain", "orders", "tcp:127.0.0.1:9"], "no upstream named 'tcp:127.0.0.1:9'"),
    (["enable", "orders", "rubbish"], "no upstream named 'rubbish'"),
    (["drain", "order", "tcp:127.0.0.1:9"], "did you mean 'orders'?"),
    (["upstreams", "order"], "did you mean 'orders'?"),
    (["upstreams", "beside"], "'beside' selects nothing: the listener's target is not forward"),
    (["drain", "beside", "tcp:127.0.0.1:9"], "the listener's target is not forward"),
    (["add-upstream", "orders", "rubbish"], "'rubbish' is no upstream, write for example tcp:127.0.0.1:9000"),
    (["add-upstream", "orders", "tcp:127.0.0.1"], "is no upstream"),
])
def test_refusals_say_why(servers, forward, words, expected):
    daemon = forward(servers("a"), beside=True)
    result = daemon.ctl(*words)
    assert result.status == 1 and expected in result.err, result
    assert daemon.call("Status")["runtime_changes"] == 0


def test_mistyped_upstream_suggests_the_near_one(servers, forward):
    a, = servers("a")
    daemon = forward([a])
    assert f"did you mean '{a.upstream}'?" in daemon.ctl("drain", "orders", a.upstream[:-1]).err


def test_twice_and_the_last_one_are_refused(servers, forward):
    a, = servers("a")
    daemon = forward([a])
    assert "it is there already" in daemon.ctl("add-upstream", "orders", a.upstream).err
    assert "the only one" in daemon.ctl("remove-upstream", "orders", a.upstream).err
    assert whose(daemon.address) == "a"


@pytest.mark.parametrize("words", [["drain"], ["drain", "orders"], ["enable", "orders"], ["add-upstream", "orders"],
                                   ["drain", "orders", "tcp:127.0.0.1:9", "more"], ["drain", "--flow", "0.1.1", "a", "b"]])
def test_wrong_usage(servers, forward, words):
    assert forward(servers("a")).ctl(*words).status == 2


def test_other_spelling_of_an_upstream(forward):
    daemon = forward(["tcp:[fd5c:0::1]:80", nobody()])
    assert daemon.ctl("drain", "orders", "tcp:[fd5c::0:1]:80").status == 0
    assert upstreams(daemon)["tcp:[fd5c::1]:80"]["state"] == "draining"


@pytest.mark.parametrize("words, contains", [
    (["upstreams"], ["upstreams"]), (["upstreams", "orders"], ["upstreams"]),
    (["drain"], ["upstream", "old", "new", "flows", "closed"]), (["disable"], ["closed"]), (["enable"], ["new"]),
    (["remove-upstream"], ["new"]),
])
def test_json_of_each_verb(servers, forward, words, contains):
    a, b = servers("ab")
    daemon = forward([a, b])
    value = daemon.ctl("--json", *words, *(["orders", a.upstream] if words[0] != "upstreams" else [])).json()
    assert all(key in value for key in contains)


def test_text_of_the_listing(servers, forward):
    a, b = servers("ab")
    daemon = forward([a, b])
    letters(daemon.address, 2)
    daemon.ctl("drain", "orders", b.upstream)
    text = daemon.ctl("upstreams").out
    assert re.search(rf"orders\s+{a.upstream}\s+up\s+files\s+0\s+1\s+\S+s\s+0\s", text), text
    assert re.search(rf"orders\s+{b.upstream}\s+draining\s+files\s", text), text


def test_no_upstreams_at_all(serve):
    assert serve("tcp4", target="echo").ctl("upstreams").out == "no upstreams\n"


@pytest.mark.root
def test_only_admins_change(servers, forward):
    a, b = servers("ab")
    daemon = forward([a, b])
    for words in (["drain", "orders", a.upstream], ["add-upstream", "orders", "tcp:127.0.0.1:9"], ["upstreams"]):
        assert "permission denied" in daemon.ctl(*words, prefix=as_user("--clear-groups")).err
    assert state(daemon, a) == "up" and len(upstreams(daemon)) == 2
    daemon.wait_log(r"denied org\.sockq\.Control\.SetUpstreamState to uid 65534")


def test_the_journal_says_who_did_what(servers, forward):
    a, b = servers("ab")
    daemon = forward([a, b])
    with daemon.varlink() as session:
        session.send("Monitor", {"level": "notice"}, more=True)
        event = {"kind": None}
        while event["kind"] != "upstream-changed":  # the end of the start may come before it
            if not select.select([session.sock], [], [], 0.1)[0]:  # until it is known as a watcher
                daemon.ctl("enable", "orders", a.upstream)
                daemon.ctl("drain", "orders", a.upstream)
                continue
            event = session.receive()["parameters"]
            if event["fields"].get("SOCKQ_NEW") == "enabled":
                event = {"kind": None}
    fields = event["fields"]
    assert fields["SOCKQ_LISTENER"] == "orders" and fields["SOCKQ_UPSTREAM"] == a.upstream
    assert (fields["SOCKQ_OLD"], fields["SOCKQ_NEW"]) == ("enabled", "draining")
    assert fields["SOCKQ_UID"] == str(os.getuid()) and int(fields["SOCKQ_PID"]) > 1
    assert event["level"] == "notice"


# Names


def test_name_of_the_hosts_file(servers, forward):
    a, = servers("a")
    daemon = forward([f"tcp:localhost:{a.port}"])
    assert whose(daemon.address) == "a"
    assert f"127.0.0.1:{a.port}" in upstreams(daemon)[f"tcp:localhost:{a.port}"]["addresses"]


def test_client_that_waits_for_the_start_finds_the_name_resolved(servers, make_daemon, closing):
    """As with a socket unit: the connection that starts the daemon is its first one."""
    a, = servers("a")
    listening = closing(open_socket("tcp4"))
    client = closing(connect(address_of(listening)))
    make_daemon({"listeners": {"orders": {"target": "forward", "upstream": [f"tcp:localhost:{a.port}"]}}},
                sockets=[("orders", listening)]).start()
    assert client.recv(1) == b"a"


def test_reload_to_a_name_loses_no_flow(servers, forward):
    a, b = servers("ab")
    daemon = forward([a])
    daemon.write({"listeners": {"orders": {"target": "forward", "upstream": [f"tcp:localhost:{b.port}"]}}})
    daemon.call("Reload")
    assert letters(daemon.address, 3) == "bbb"


def with_resolv_conf(link, path):
    """The prefix that runs a command at the link's server end with another /etc/resolv.conf."""
    script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
    return [*link.command("server"), "unshare", "--mount", "sh", "-c", script, path]


class Names:
    """A daemon at the link's server end, which asks a name server there. Servers listen on addresses of its loopback."""

    def __init__(self, link, make_daemon, closing, tmp_path, upstream, prepare=None, **keys):
        self._link = link
        with link.inside("server"):
            self.dns = closing(NameServer(tmp_path))
            if prepare:
                prepare(self.dns)
            self._listening = closing(open_socket("tcp4"))
        self.daemon = make_daemon(
            {"listeners": {"orders": {"target": "forward", "upstream": upstream, **keys}}},
            sockets=[("orders", self._listening)], prefix=with_resolv_conf(link, self.dns.resolv_conf)).start()

    def letters(self, count):
        with self._link.inside("server"):
            return letters(address_of(self._listening), count)

    def addresses(self, upstream):
        return upstreams(self.daemon)[upstream]["addresses"]


@pytest.fixture
def names(link, make_daemon, closing, tmp_path):
    if NameServer.why_not():
        pytest.skip(NameServer.why_not())
    return lambda *upstream, **keys: Names(link, make_daemon, closing, tmp_path, list(upstream), **keys)


@pytest.fixture
def three(link, closing):
    """Servers a, b and c at port 80 of 127.0.0.2, 127.0.0.3 and 127.0.0.4."""
    with link.inside("server"):
        return [closing(Server(letter, host=f"127.0.0.{i}", port=80)) for i, letter in enumerate("abc", 2)]


APP = "tcp:app.example:80"


@pytest.mark.root
def test_flows_follow_a_change_of_the_name(names, three):
    n = names(APP, prepare=lambda dns: dns.say(app=["127.0.0.2"]))
    assert n.letters(2) == "aa"
    assert n.addresses(APP) == ["127.0.0.2:80"]
    n.dns.say(app=["127.0.0.3"])
    eventually(lambda: n.addresses(APP) == ["127.0.0.3:80"], lambda: f"the new address; log: {n.daemon.log()}")
    n.daemon.wait_log(r"orders: upstream tcp:app\.example:80 is at 127\.0\.0\.3:80")
    assert n.letters(2) == "bb"


@pytest.mark.root
def test_flows_are_spread_over_the_addresses_of_a_name(names, three):
    n = names(APP, prepare=lambda dns: dns.say(app=["127.0.0.2", "127.0.0.3", "127.0.0.4"]))
    assert sorted(n.letters(6)) == list("aabbcc")
    assert len(n.addresses(APP)) == 3


@pytest.mark.root
def test_dead_address_of_a_name_costs_no_flow(names, three):
    three[1].stop()
    n = names(APP, prepare=lambda dns: dns.say(app=["127.0.0.2", "127.0.0.3", "127.0.0.4"]))
    assert set(n.letters(12)) == set("ac")
    assert upstreams(n.daemon)[APP]["failures"] > 0 and state(n.daemon, APP) == "up"


@pytest.mark.root
def test_addresses_without_a_route_are_left_out(names, three, link):
    n = names(APP, prepare=lambda dns: dns.say(app=["127.0.0.2", "2001:db8::99", "198.51.100.9"]))
    assert n.addresses(APP) == ["127.0.0.2:80"]
    assert n.letters(4) == "aaaa" and upstreams(n.daemon)[APP]["failures"] == 0


@pytest.mark.root
def test_name_server_that_fails_leaves_the_addresses(names, three):
    n = names(APP, prepare=lambda dns: dns.say(app=["127.0.0.2"]))
    n.dns.stop()
    n.daemon.wait_log(r"the name of upstream tcp:app\.example:80 was not resolved: .*; the addresses known so far stay in use")
    assert n.letters(2) == "aa"
    row = upstreams(n.daemon)[APP]
    assert row["state"] == "up" and row["reason"]
    with n._link.inside("server"):
        n.dns.start()
    n.dns.say(app=["127.0.0.3"])
    eventually(lambda: n.addresses(APP) == ["127.0.0.3:80"], "the new address")
    assert "reason" not in upstreams(n.daemon)[APP]


@pytest.mark.root
def test_name_that_never_resolved_is_unusable(names, three):
    n = names(APP, "tcp:other.example:80", prepare=lambda dns: dns.say(other=["127.0.0.3"]))
    row = upstreams(n.daemon)[APP]
    assert (row["state"], row["addresses"]) == ("unresolved", [])
    assert "not found" in row["reason"]
    assert re.search(r"tcp:app\.example:80\s+unresolved.*not found", n.daemon.ctl("upstreams").out)
    assert n.letters(3) == "bbb"
    n.daemon.ctl("disable", "orders", "tcp:other.example:80")
    assert n.letters(1) == ""
    n.dns.say(app=["127.0.0.2"])
    wait_state(n.daemon, APP, "up")
    assert n.letters(2) == "aa"


@pytest.mark.root
def test_name_that_is_added_at_runtime(names, three):
    n = names("tcp:other.example:80", prepare=lambda dns: dns.say(app=["127.0.0.3"], other=["127.0.0.2"]))
    n.daemon.ctl("add-upstream", "orders", APP)
    wait_state(n.daemon, APP, "up")
    assert set(n.letters(4)) == set("ab")
    n.daemon.ctl("remove-upstream", "orders", APP)
    n.daemon.wait_log(r"upstream tcp:app\.example:80 enabled -> absent")
    asked, others = n.dns.count("app"), n.dns.count("other")
    assert asked > 0
    # Both names are valid for a second. One question may have been under way.
    eventually(lambda: n.dns.count("other") >= others + 6, "questions for the name that stays")
    assert n.dns.count("app") <= asked + 2


@pytest.fixture
def silent(link, make_daemon, closing, tmp_path):
    """A daemon whose name server never answers, with a name and other upstreams. It has .silent_address."""
    with link.inside("server"):
        closing(open_socket("udp4", host="127.0.0.53", port=53))
        listening = closing(open_socket("tcp4"))
    resolv_conf = tmp_path / "resolv.conf"
    resolv_conf.write_text("nameserver 127.0.0.53\n")

    def start(*upstream, **keys):
        daemon = make_daemon({"listeners": {"orders": {"target": "forward", "upstream": [APP, *upstream], **keys}}},
                             sockets=[("orders", listening)], prefix=with_resolv_conf(link, resolv_conf)).start()
        daemon.silent_address = address_of(listening)
        daemon.passed = listening
        return daemon

    return start


@pytest.mark.root
def test_silent_name_server_delays_neither_start_nor_stop_for_ever(silent, link, closing):
    """The start waits ten seconds at most; other upstreams serve."""
    with link.inside("server"):
        a = closing(Server("a", host="127.0.0.2"))
    began = time.monotonic()
    daemon = silent(a.upstream)
    assert time.monotonic() - began < 20
    with link.inside("server"):
        assert letters(daemon.silent_address, 3) == "aaa"
    assert upstreams(daemon)[APP]["reason"] == "no answer came in time"
    began = time.monotonic()
    daemon.stop()
    assert time.monotonic() - began < 5


@pytest.mark.root
def test_stop_while_a_reload_waits_for_a_name(silent, link, closing):
    with link.inside("server"):
        a = closing(Server("a", host="127.0.0.2"))
    daemon = silent(a.upstream)
    daemon.write({"listeners": {
        "orders": {"target": "forward", "upstream": [a.upstream, "tcp:other.example:80"]},
        "new": {"target": "forward", "upstream": ["tcp:third.example:80"], "listen": ["tcp:127.0.0.1:7000"]}}})
    with daemon.varlink() as session:
        session.send("Reload")
        daemon.notify.wait(lambda m: m.get("RELOADING") == "1", "RELOADING=1", 0, alive=lambda: True)
        began = time.monotonic()
        daemon.signal(signal.SIGTERM)
        assert daemon.wait_exit() == 0
        assert time.monotonic() - began < 5
        assert session.receive() in (None, {"error": "org.sockq.Control.Busy",
                                            "parameters": {"reason": "the daemon is stopping"}})


@pytest.mark.root
def test_descriptors_are_not_inherited(silent, link):
    """A question and a check are under way: each has a socket."""
    hole = "10.213.0.99"
    daemon = silent(f"tcp:{hole}:80", check_interval="100ms")
    pid = daemon.call("Status")["pid"]

    def under_way():
        command = [*link.command("server"), "ss", "-Htun"]
        sockets = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return f"{hole}:80" in sockets and "127.0.0.53:53" in sockets

    eventually(under_way, "a question and a check")
    for entry in Path(f"/proc/{pid}/fdinfo").iterdir():
        flags = int(re.search(r"flags:\s+(\d+)", entry.read_text())[1], 8)
        is_passed = os.path.samestat(os.stat(f"/proc/{pid}/fd/{entry.name}"), os.fstat(daemon.passed.fileno()))
        assert flags & os.O_CLOEXEC or int(entry.name) <= 2 or is_passed, os.readlink(f"/proc/{pid}/fd/{entry.name}")


# Both legs in the listing


@pytest.mark.workers
def test_both_legs_of_a_flow(servers, forward, closing):
    a, = servers("a")
    daemon = forward([a])
    client = join(daemon, closing, "a")
    daemon.set(settings={"client.dscp": "EF", "upstream.dscp": "AF21"})
    assert talks(client)
    flow, = daemon.flows()
    assert flow["upstream"] == a.upstream
    assert flow["client_leg"]["peer"] == flow["peer"] == "%s:%d" % client.getsockname()
    assert flow["upstream_leg"]["peer"] == f"127.0.0.1:{a.port}"
    assert (flow["dscp"], flow["client_leg"]["dscp"], flow["upstream_leg"]["dscp"]) == ("EF", "EF", "AF21")
    assert (flow["client_leg"]["rx_bytes"], flow["client_leg"]["tx_bytes"]) == (5, 6)
    assert (flow["upstream_leg"]["rx_bytes"], flow["upstream_leg"]["tx_bytes"]) == (6, 5)
    for leg in (flow["client_leg"], flow["upstream_leg"]):
        assert leg["rtt_usec"] >= 0 and leg["retransmits"] == 0
        assert leg["receive_queue"] == 0
    assert flow["to_upstream"] == flow["to_client"] == {"mode": "copy", "switches": 0}


def test_text_of_both_legs(servers, forward, closing):
    a, = servers("a")
    daemon = forward([f"tcp:localhost:{a.port}"], beside=True)
    join(daemon, closing, "a")
    beside = closing(connect(daemon.beside))
    daemon.wait_flows(2)
    text = daemon.ctl("flows").out
    assert "UPSTREAM" in text and "MODE" in text
    assert re.search(rf"tcp:localhost:{a.port} 127\.0\.0\.1:{a.port}\s+copy/copy", text), text
    assert "UPSTREAM" not in daemon.ctl("flows", "beside").out
    rows = daemon.ctl("flows", "--legs").out.splitlines()[1:]
    assert len(rows) == 3 and beside
    assert sorted(row.split()[2] for row in rows) == ["client", "client", "upstream"]


def test_legs_while_the_upstream_is_not_reached(link, make_daemon, closing):
    """Both are there, with what is known."""
    with link.inside("server"):
        listening = closing(open_socket("tcp4"))
    daemon = make_daemon({"listeners": {"orders": {"target": "forward", "connect_timeout": "1h",
                                                   "upstream": ["tcp:10.213.0.99:80"]}}},
                         sockets=[("orders", listening)], prefix=link.command("server")).start()
    with link.inside("server"):
        client = closing(connect(address_of(listening)))
    flow, = daemon.wait_flows(1)
    assert flow["upstream"] == "tcp:10.213.0.99:80" and client
    assert flow["upstream_leg"]["tx_bytes"] == 0 and "client_leg" in flow and flow["to_client"]["mode"] == "copy"


def test_bulk_is_spliced_and_the_listing_says_so(servers, forward, closing):
    a, = servers("a")
    daemon = forward([a])
    client = join(daemon, closing, "a")
    data = os.urandom(1 << 20)

    def spliced():
        client.sendall(data)
        assert read_exactly(client, len(data)) == data
        way = daemon.flows()[0]["to_upstream"]
        return way["mode"] == "splice" or way["switches"] > 0

    eventually(spliced, "a way that splices")
    assert daemon.flows()[0]["to_upstream"]["switches"] >= 1


def test_queues_of_a_flow_that_is_stuck(servers, forward, closing):
    """The client reads nothing of its echo: the listing shows on which leg it waits."""
    a, = servers("a")
    daemon = forward([a])
    client = join(daemon, closing, "a")
    most = 1 << 28  # the kernel alone holds 32 MB at each end of a connection
    sent = send_until_stuck(client, bytes(1 << 16), most)
    flow, = daemon.flows()
    assert flow["client_leg"]["send_queue"] > 0 and flow["upstream_leg"]["receive_queue"] > 0
    assert flow["client_leg"]["rx_bytes"] <= sent < most
