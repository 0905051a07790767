# SPDX-License-Identifier: MIT
"""What the daemon does when it is short of something: descriptors, room to send, a journal that takes entries."""
import signal
import subprocess
import sys

import pytest

from harness.bounds import Bystander
from harness.journal import Journal
from harness.sockets import ask_udp, connect, read_exactly, send_until_stuck, udp_client
from harness.varlink import VarlinkError
from harness.waiting import eventually

LIMIT = 48


def counters(daemon):
    return daemon.stats()["counters"]


# Descriptors

@pytest.fixture
def poor(serve):
    """A daemon that may have few descriptors: TCP first, UDP second."""
    return serve("tcp4", "udp4", target="echo", beside=True, daemon={"workers": 2},
                 start_options={"prefix": ["prlimit", f"--nofile={LIMIT}:{LIMIT}"]})


def test_accepting_rests_while_descriptors_are_short(poor, closing):
    bystander = closing(Bystander(poor))
    free = LIMIT - bystander.fds()
    clients = [closing(connect(poor.addresses[0])) for _ in range(100)]
    for client in clients:
        client.sendall(b"let me in")
    poor.wait_log("cannot accept on .*: Too many open files")
    for client in clients[:free - 2]:
        assert read_exactly(client, 9) == b"let me in"
    bystander.assert_served()
    bystander.assert_quiet()
    assert ask_udp(poor.addresses[1], b"no descriptor needed") == b"no descriptor needed"
    for client in clients[:free - 2]:
        client.close()
    for client in clients[free - 2:]:
        assert read_exactly(client, 9) == b"let me in"
        client.close()
    poor.wait_flows(0, listener="orders")
    now = counters(poor)
    assert now["accepted"] + now["refused_unavailable"] == 100 and now["refused_unavailable"] == 0
    bystander.assert_grown_below(32)
    bystander.assert_quiet()


def test_shortage_comes_and_goes(poor, closing):
    """Many times; nobody is forgotten in the queue."""
    bystander = closing(Bystander(poor))
    for _ in range(5):
        clients = [connect(poor.addresses[0]) for _ in range(3 * LIMIT)]
        for client in clients:
            client.sendall(b"x")
        for client in clients:
            assert read_exactly(client, 1) == b"x"
            client.close()
        bystander.assert_served()
    poor.wait_flows(0, listener="orders")
    poor.wait_counters(accepted=15 * LIMIT, closed=15 * LIMIT)


def test_control_says_that_descriptors_are_short(poor, closing):
    bystander = closing(Bystander(poor))
    session = bystander.session
    clients = [closing(connect(poor.addresses[0])) for _ in range(100)]
    poor.wait_log("cannot accept on .*: Too many open files")
    waiting = closing(poor.varlink())
    waiting.send("Status")
    poor.wait_log("Cannot accept a control connection: Too many open files")
    bystander.assert_quiet()

    for method, parameters in (("Set", {"target": "orders", "settings": {"dscp": "EF"}}), ("Reload", {})):
        try:
            session.call(method, parameters)
        except VarlinkError as error:
            assert "Too many open files" in str(error.parameters), error
    assert [flow for part in session.stream("Flows") for flow in part["flows"]]
    bystander.assert_served()
    for client in clients:
        client.close()
    assert waiting.reply()["state"] == "serving"
    assert poor.call("Reload") is not None
    assert poor.set(settings={"dscp": "AF41"})["keys"][0]["outcome"] == "applied"
    with connect(poor.addresses[0]) as late:
        late.sendall(b"x")
        assert late.recv(1) == b"x"


def test_service_manager_hears_of_a_daemon_that_is_short_of_descriptors(serve, closing):
    """Clients that take every descriptor must not make the watchdog end the daemon, nor a reload hang."""
    daemon = serve("tcp4", target="echo",
                   start_options={"prefix": ["prlimit", f"--nofile={LIMIT}:{LIMIT}"], "watchdog_usec": 400_000})
    for _ in range(100):
        closing(connect(daemon.address))
    daemon.wait_log("cannot accept on .*: Too many open files")
    for _ in range(3):
        daemon.notify.wait_key("WATCHDOG", "1", daemon.notify.mark())
    since = daemon.notify.mark()
    daemon.signal(signal.SIGHUP)
    daemon.notify.wait_key("RELOADING", "1", since)
    daemon.notify.wait_key("READY", "1", since)


def test_stop_while_descriptors_are_short(poor, closing):
    for _ in range(100):
        closing(connect(poor.addresses[0]))
    poor.wait_log("cannot accept on .*: Too many open files")
    poor.stop()


# Room to send

# Sends so many datagrams, with numbers, of these sizes in turn, and prints how many different answers came until there was
# silence.
ASKER = """
import select, socket, struct, sys
host, port, count, *sizes = sys.argv[1], *map(int, sys.argv[2:])
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.SOL_SOCKET, 33, 32 << 20)  # SO_RCVBUFFORCE
sock.connect((host, port))
for i in range(count):
    sock.send(struct.pack("!I", i) + b"x" * (sizes[i % len(sizes)] - 4))
seen = []
while select.select([sock], [], [], 3)[0]:
    seen.append(struct.unpack("!I", sock.recv(65536)[:4])[0])
assert len(seen) == len(set(seen))
print(len(seen))
"""


def ask_through(link, make_daemon, queue, count, sizes, send_buffer):
    """Lets a client ask over a link whose daemon's side has this queue, in lines of tc(8). (daemon, answers that arrived)"""
    host, port = link.V4["server"], 7007
    for line in queue:
        done = subprocess.run([*link.command("server"), "tc", *line.replace("DEV", "dev sockq0").split()],
                              capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"no such queue here: {done.stderr.strip()}")
    daemon = make_daemon({"profiles": {"base": {"send_buffer": send_buffer, "receive_buffer": "4M"}},
                          "listeners": {"orders": {"target": "echo", "profile": "base", "listen": [f"udp:{host}:{port}"]}}},
                         prefix=link.command("server")).start()
    asker = subprocess.Popen([*link.command("client"), sys.executable, "-c", ASKER, host, str(port), str(count),
                              *map(str, sizes)], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = asker.communicate(timeout=120)
    assert asker.returncode == 0, err
    return daemon, int(out)


def tbf(limit):
    return f"qdisc add DEV root tbf rate 20mbit burst 20kb limit {limit}"


HTB = ["qdisc add DEV root handle 1: htb default 1", "class add DEV parent 1: classid 1:1 htb rate 20mbit burst 20kb"]


@pytest.mark.root
def test_datagrams_wait_for_room_to_send(make_daemon, link):
    """A link that is slower than what is asked, and a small send buffer: EAGAIN. Answers wait, questions queue up and
    may be dropped by the kernel; all of them are accounted for."""
    count = 3000
    daemon, arrived = ask_through(link, make_daemon, [tbf("8mb")], count, [1400], "8K")
    now = counters(daemon)
    assert arrived == now["tx_datagrams"] > 0
    assert now["replies"] == now["payloads"] == now["tx_datagrams"] + now["tx_dropped"] + now["tx_too_large"]
    assert now["rx_datagrams"] + now["kernel_drops"] == count
    assert now["tx_dropped"] == 0


@pytest.mark.root
@pytest.mark.parametrize("queue, sizes", [([tbf("20kb")], [1400, 1399]), ([*HTB, "qdisc add DEV parent 1:1 pfifo limit 10"], [1400]),
                                          ([*HTB, "qdisc add DEV parent 1:1 bfifo limit 20kb"], [1400])],
                         ids=["tbf", "pfifo", "bfifo"])
def test_datagrams_that_the_queue_of_the_device_refuses(make_daemon, link, queue, sizes):
    """Room in the socket but none in the device's queue, which may be smaller than a group of replies: they wait. What tbf
    finds larger than its burst it takes apart, and drops parts of in silence: there the groups are small."""
    daemon, arrived = ask_through(link, make_daemon, queue, 3000, sizes, "4M")
    now = counters(daemon)
    assert now["replies"] == now["tx_datagrams"] == arrived > 0
    assert now["rx_datagrams"] + now["kernel_drops"] == 3000


@pytest.mark.root
def test_queue_that_takes_nothing(make_daemon, link):
    """Neither now nor later: replies are dropped and counted, and the endpoint goes on for others."""
    daemon, arrived = ask_through(link, make_daemon, [*HTB, "qdisc add DEV parent 1:1 bfifo limit 100"], 200, [1400, 4], "4M")
    now = counters(daemon)
    assert now["rx_datagrams"] == now["replies"] == now["tx_datagrams"] + now["tx_dropped"] == 200
    assert 0 < arrived == now["tx_datagrams"] < 200
    daemon.wait_log("not sent: No buffer space available")


# A journal that takes nothing

@pytest.mark.root
@pytest.mark.parametrize("kind", ["tcp4", "udp4"])
def test_flood_of_payloads_at_a_stuck_journal(serve, closing, kind):
    """The queue in front of the journal is bounded; what does not fit is dropped and counted, and nothing waits."""
    journal = closing(Journal(stuck=True))
    daemon = serve(kind, target="journal", beside=True, journal_rate=100_000,
                   start_options={"prefix": journal.prefix, "journal": True})
    bystander = closing(Bystander(daemon))
    payload = bytes(range(256)) * 8
    if kind == "udp4":
        with udp_client(daemon.address) as client:
            for i in range(20_000):
                client.send(payload)
                if i % 1000 == 0:
                    bystander.assert_served()
    else:
        with connect(daemon.address) as client:
            assert send_until_stuck(client, payload * 32, 256 << 20) >= 256 << 20, "a stuck journal holds nobody up"
            bystander.assert_served()
    eventually(lambda: daemon.call("Status")["events_dropped"] > 0, "dropped payloads to be counted")
    now = counters(daemon)
    assert now["payloads"] > 1000
    assert now["suppressed"] + daemon.call("Status")["events_dropped"] <= now["payloads"] + 100
    assert daemon.set(settings={"dscp": "EF"})["keys"][0]["outcome"] == "applied"
    bystander.assert_grown_below(32)
    bystander.assert_quiet()
    daemon.stop()


@pytest.mark.root
def test_stuck_journal_and_a_flood_of_refusals(serve, closing):
    """What strangers can make the daemon say."""
    journal = closing(Journal(stuck=True))
    daemon = serve("tcp4", target="echo", beside=True, deny="127.0.0.66", max_connections_per_source="1",
                   start_options={"prefix": journal.prefix, "journal": True})
    bystander = closing(Bystander(daemon))
    for i in range(2000):
        try:
            connect(daemon.address, source="127.0.0.66").close()
        except ConnectionError:
            pass
        if i % 100 == 0:
            bystander.assert_served()
    daemon.wait_counters(refused_denied=2000)
    bystander.assert_grown_below(16)
