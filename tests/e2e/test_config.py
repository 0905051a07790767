# SPDX-License-Identifier: MIT
"""Files: what --check says, what a reload does, what a bad file does not do."""
import re
import signal

import pytest

from harness.config import one_listener, render
from harness.daemon import sockqd
from harness.sockets import ask_tcp, ask_udp, address_of, connect, free_port, is_refused, open_socket, read_exactly, read_to_end
from harness.varlink import VarlinkError
from harness.waiting import eventually


def check(tmp_path, text):
    """(status, [(line, key, text)]) of `sockqd --check`; each line must have the promised form."""
    file = tmp_path / "sockqd.conf"
    file.write_text(text)
    result = sockqd("--check", "--config", file)
    faults = []
    for line in (result.out + result.err).splitlines():
        match = re.fullmatch(rf"{re.escape(str(file))}(?:\.d/[^:]+)?:(\d+): (?:([\w.-]+(?:\[\d+\])?): )?(.+)", line)
        if result.status:
            assert match, line
            faults.append((int(match[1]), match[2], match[3]))
    return result.status, faults


GOOD = """daemon = { workers = 2; drain_timeout = "10s"; stats_interval = "60s"; };
profiles = { voice = { dscp = "EF"; priority = "6"; nodelay = true; receive_buffer = "128K"; }; };
listeners = {
  orders = { profile = "voice"; target = "ack"; send_buffer = "128K"; reply = "Got it";
             listen = [ "tcp:127.0.0.1:8000", "udp:127.0.0.1:8000", "tcp:[::]:8001" ]; };
};
"""


def test_good_file(tmp_path):
    status, _ = check(tmp_path, GOOD)
    assert status == 0


@pytest.mark.parametrize("old, new, line, key, text", [
    ('dscp = "EF"', 'dscp = "EFF"', 2, "profiles.voice.dscp", "EF"),
    ('dscp = "EF"', 'dcsp = "EF"', 2, "profiles.voice.dcsp", "dscp"),
    ('dscp = "EF"', 'tos = "0xbb"', 2, "profiles.voice.tos", "0xb8"),
    ('"6"', '"8"', 2, "profiles.voice.priority", "7"),
    ("nodelay = true", 'nodelay = "perhaps"', 2, "profiles.voice.nodelay", ""),
    ('"128K"; }; };', "131072; }; };", 2, "profiles.voice.receive_buffer", ""),
    ('receive_buffer = "128K"', 'receive_buffer = "128"', 2, "profiles.voice.receive_buffer", ""),
    ('receive_buffer = "128K"', 'receive_buffer = "1"', 2, "profiles.voice.receive_buffer", ""),
    ('target = "ack"', 'target = "akc"', 4, "listeners.orders.target", "ack"),
    ('target = "ack"', 'target = 5', 4, "listeners.orders.target", ""),
    ('target = "ack"; ', "", 4, "listeners.orders", "target"),
    ('profile = "voice"', 'profile = "voices"', 4, "listeners.orders.profile", "voice"),
    ('profile = "voice"', 'profil = "voice"', 4, "listeners.orders.profil", "profile"),
    ('"tcp:127.0.0.1:8000"', '"tcp:127.0.0.1"', 5, "listeners.orders.listen", ""),
    ('"tcp:127.0.0.1:8000"', '"sctp:127.0.0.1:8000"', 5, "listeners.orders.listen", ""),
    ('"tcp:127.0.0.1:8000"', '"tcp:localhost:8000"', 5, "listeners.orders.listen", ""),
    ('"tcp:127.0.0.1:8000"', '"tcp:127.0.0.1:70000"', 5, "listeners.orders.listen", ""),
    ('listen = [ "tcp:127.0.0.1:8000", "udp:127.0.0.1:8000", "tcp:[::]:8001" ]', "listen = 8000", 5,
     "listeners.orders.listen", ""),
    ("workers = 2", "workers = -1", 1, "daemon.workers", ""),
    ("workers = 2", "wokers = 2", 1, "daemon.wokers", "workers"),
    ('"10s"', '"10 parsecs"', 1, "daemon.drain_timeout", ""),
    ('"10s"', "10", 1, "daemon.drain_timeout", ""),
    ("daemon =", "deamon =", 1, "deamon", "daemon"),
    ('reply = "Got it"', 'journal_rate = 0', 4, "listeners.orders.journal_rate", ""),
])
def test_fault_names_file_line_and_key(tmp_path, old, new, line, key, text):
    assert old in GOOD
    status, faults = check(tmp_path, GOOD.replace(old, new, 1))
    assert status == 1
    match = [fault for fault in faults if fault[0] == line and fault[1] and fault[1].startswith(key)]
    assert match and text in match[0][2], faults


@pytest.mark.parametrize("text, line", [
    ("listeners = {\n  orders = { target = \"ack\" \n", 3),
    ("listeners = {\n  1orders = { };\n};\n", 2),
    ("listeners = {\n  orders = { target = \"ack\"; target = \"echo\"; };\n};\n", 2),
    ("\x00\x01\x02", 1),
    ("listeners = ;", 1),
    ("a = " + "{ a = " * 2000, 1),
])
def test_syntax_fault(tmp_path, text, line):
    status, faults = check(tmp_path, text)
    assert status == 1 and len(faults) == 1
    assert abs(faults[0][0] - line) <= 1, faults


def test_every_semantic_fault_is_told(tmp_path):
    text = GOOD.replace('"EF"', '"EFF"').replace('"ack"', '"akc"').replace("workers", "wokers").replace(
        '"tcp:[::]:8001"', '"tcp:8001"')
    status, faults = check(tmp_path, text)
    assert status == 1 and len(faults) == 4
    assert sorted(fault[0] for fault in faults) == [1, 2, 4, 5]


def test_missing_and_empty_files(tmp_path):
    missing = sockqd("--check", "--config", tmp_path / "missing.conf")
    assert missing.status == 1 and "missing.conf" in missing.out + missing.err
    status, faults = check(tmp_path, "")
    assert status in (0, 1)
    directory = sockqd("--check", "--config", tmp_path)
    assert directory.status == 1


def test_bad_file_at_start_is_told_and_ends(make_daemon):
    daemon = make_daemon(GOOD.replace('"EF"', '"EFF"'))
    daemon.exit_expected = None
    daemon.spawn()
    assert daemon.wait_exit() == 1
    daemon.wait_log(r"<3>.*sockqd\.conf:2: profiles\.voice\.dscp: .*EF")


def test_drop_ins_merge_key_by_key_and_the_later_wins(make_daemon, closing):
    sock = closing(open_socket("tcp4"))
    daemon = make_daemon({"profiles": {"base": {"dscp": "CS1", "ttl": "10"}},
                          "listeners": {"orders": {"target": "ack", "profile": "base", "reply": "main"}}},
                         sockets=[("orders", sock)])
    daemon.drop_in("20-later.conf", {"profiles": {"base": {"dscp": "EF"}}})
    daemon.drop_in("10-early.conf", {"profiles": {"base": {"dscp": "AF11", "priority": "3"}},
                                     "listeners": {"orders": {"reply": "drop-in"}}})
    daemon.drop_in("ignored.txt", "this is no configuration")
    daemon.start()
    values = {name: daemon.value(name)[0] for name in ("dscp", "ttl", "priority")}
    assert values == {"dscp": "EF", "ttl": "10", "priority": "3"}
    assert ask_tcp(address_of(sock), b"x") == b"drop-in"
    files = daemon.call("Status")["files"]
    assert [f.rsplit("/", 1)[1] for f in files] == ["sockqd.conf", "10-early.conf", "20-later.conf"]


def test_fault_in_a_drop_in_names_the_drop_in(tmp_path):
    (tmp_path / "sockqd.conf").write_text(GOOD)
    (tmp_path / "sockqd.conf.d").mkdir()
    (tmp_path / "sockqd.conf.d" / "50-x.conf").write_text('profiles = {\n voice = { dscp = "XX"; };\n};\n')
    result = sockqd("--check", "--config", tmp_path / "sockqd.conf")
    assert result.status == 1
    assert "sockqd.conf.d/50-x.conf:2: profiles.voice.dscp: " in result.out + result.err


# Reload

@pytest.fixture
def orders(make_daemon, closing):
    sock = closing(open_socket("tcp4"))
    daemon = make_daemon(one_listener("echo", profile={"dscp": "CS1"}), sockets=[("orders", sock)]).start()
    daemon.address = address_of(sock)
    return daemon


@pytest.mark.parametrize("how", ["SIGHUP", "sockqctl"])
def test_reload_keeps_connections_and_changes_their_settings(orders, closing, how):
    client = closing(connect(orders.address))
    client.sendall(b"one")
    read_exactly(client, 3)
    flow, = orders.flows()
    orders.write(one_listener("echo", profile={"dscp": "EF"}))
    since = orders.notify.mark()
    if how == "SIGHUP":
        orders.signal(signal.SIGHUP)
        orders.notify.wait_key("READY", "1", since)
    else:
        result = orders.ctl("reload")
        assert result.status == 0, result.err
    client.sendall(b"two")
    assert read_exactly(client, 3) == b"two"
    after, = orders.flows()
    assert (after["id"], after["dscp"]) == (flow["id"], "EF")
    assert orders.value("dscp") == ("EF", "profile")


@pytest.mark.parametrize("how", ["SIGHUP", "sockqctl"])
def test_bad_file_keeps_the_old_configuration_and_tells_every_fault(orders, closing, how):
    client = closing(connect(orders.address))
    orders.write(render(one_listener("ecoh", profile={"dscp": "EFF", "ttl": "0"})))
    mark, since = orders.log_mark(), orders.notify.mark()
    if how == "SIGHUP":
        orders.signal(signal.SIGHUP)
        orders.notify.wait_key("READY", "1", since)
    else:
        result = orders.ctl("reload")
        assert result.status == 1
        for word in ("EFF", "ttl", "ecoh", "sockqd.conf:"):
            assert word in result.err
    for pattern in (r"<3>.*EFF", r"<3>.*ttl", r"<3>.*ecoh"):
        orders.wait_log(pattern, since=mark)
    client.sendall(b"still here")
    assert read_exactly(client, 10) == b"still here"
    assert orders.value("dscp") == ("CS1", "profile")
    assert orders.call("Status")["state"] == "serving"


def test_faults_of_a_reload_come_as_data(orders):
    orders.write(render(one_listener("echo", profile={"dscp": "EFF"})))
    with pytest.raises(VarlinkError) as caught:
        orders.call("Reload")
    assert caught.value.name == "ConfigurationInvalid"
    fault, = caught.value.parameters["faults"]
    assert fault["file"] == str(orders.config) and fault["line"] == 2 and fault["key"] == "profiles.base.dscp"


def test_runtime_changes_stay_on_top_of_a_reload(orders, closing):
    client = closing(connect(orders.address))
    client.sendall(b"x")
    read_exactly(client, 1)
    orders.set(settings={"dscp": "EF"})
    orders.write(one_listener("echo", profile={"dscp": "AF11"}))
    assert orders.ctl("reload").status == 0
    assert orders.value("dscp") == ("EF", "listener (runtime)")
    assert orders.flows()[0]["dscp"] == "EF"
    orders.call("Unset", target="orders", settings=["dscp"])
    assert orders.value("dscp") == ("AF11", "profile")
    assert orders.flows()[0]["dscp"] == "AF11"


def test_reload_adds_and_removes_listeners(orders, closing):
    port = free_port()
    old = closing(connect(orders.address))
    old.sendall(b"x")
    read_exactly(old, 1)
    tree = one_listener("echo", profile={"dscp": "CS1"})
    tree["listeners"]["late"] = {"target": "ack", "listen": [f"tcp:127.0.0.1:{port}", f"udp:127.0.0.1:{port}"]}
    orders.write(tree)
    answer = orders.call("Reload")
    assert (answer["added"], answer["removed"]) == (["late"], [])
    assert ask_tcp(("127.0.0.1", port), b"x") == b"Received"
    assert ask_udp(("127.0.0.1", port), b"x") == b"Received"
    held = closing(connect(("127.0.0.1", port)))
    held.sendall(b"x")
    read_exactly(held, 8)
    orders.write(one_listener("echo", profile={"dscp": "CS1"}))
    assert orders.call("Reload")["removed"] == ["late"]
    eventually(lambda: is_refused(("127.0.0.1", port)), "the removed listener's port to refuse")
    old.sendall(b"y")
    assert read_exactly(old, 1) == b"y"


def test_removed_listener_drains(make_daemon, closing):
    """Its connections may finish; when the time is up they are closed."""
    port = free_port()
    kept = closing(open_socket("tcp4"))
    tree = one_listener("ack", name="kept")
    tree["daemon"] = {"drain_timeout": "60s"}
    full = {**tree, "listeners": {**tree["listeners"], "going": {"target": "echo", "listen": [f"tcp:127.0.0.1:{port}"]}}}
    daemon = make_daemon(full, sockets=[("kept", kept)]).start()
    client = closing(connect(("127.0.0.1", port)))
    client.sendall(b"x")
    read_exactly(client, 1)
    daemon.write(tree)
    assert daemon.ctl("reload").status == 0
    client.sendall(b"finishing")
    assert read_exactly(client, 9) == b"finishing"
    states = {listener["name"]: listener["state"] for listener in daemon.call("Listeners")["listeners"]}
    assert states == {"kept": "serving", "going": "draining"}
    client.close()
    eventually(lambda: len(daemon.call("Listeners")["listeners"]) == 1, "the drained listener to go")


def test_removed_listener_is_closed_when_the_time_is_up(make_daemon, closing):
    port, kept = free_port(), closing(open_socket("tcp4"))
    tree = {"daemon": {"drain_timeout": "200ms"}, **one_listener("ack", name="kept")}
    full = {**tree, "listeners": {**tree["listeners"], "going": {"target": "echo", "listen": [f"tcp:127.0.0.1:{port}"]}}}
    daemon = make_daemon(full, sockets=[("kept", kept)]).start()
    client = closing(connect(("127.0.0.1", port)))
    client.sendall(b"x")
    read_exactly(client, 1)
    daemon.write(tree)
    assert daemon.ctl("reload").status == 0
    assert read_to_end(client) == b""


def test_reload_changes_target_and_reply_for_new_flows(orders, closing):
    old = closing(connect(orders.address))
    old.sendall(b"x")
    assert read_exactly(old, 1) == b"x"
    orders.write(one_listener("ack", profile={"dscp": "CS1"}, reply="new"))
    answer = orders.call("Reload")
    assert answer["changed"] == ["orders"]
    assert ask_tcp(orders.address, b"x") == b"new"


def test_workers_need_a_restart_and_the_answer_says_so(orders):
    tree = one_listener("echo", profile={"dscp": "CS1"})
    tree["daemon"] = {"workers": 3}
    before = orders.call("Status")["workers"]
    orders.write(tree)
    mark = orders.log_mark()
    result = orders.ctl("reload")
    assert result.status == 0 and orders.call("Status")["workers"] == before
    assert "daemon.workers" in result.out
    orders.wait_log(r"workers.*restart", since=mark)


@pytest.mark.workers
def test_many_reloads_lose_nothing(orders, closing):
    client = closing(connect(orders.address))
    for i in range(30):
        orders.write(one_listener("echo", profile={"dscp": str(i)}))
        assert orders.ctl("reload").status == 0
        client.sendall(b"%02d" % i)
        assert read_exactly(client, 2) == b"%02d" % i
        assert orders.flows()[0]["dscp"] == orders.value("dscp")[0]
    assert orders.value("dscp")[0] == "29"
