# SPDX-License-Identifier: MIT
"""The jobs of tools/bench. Each runs its rounds, sockqd and peers in turn within each, and returns tables."""
import statistics
import time
from contextlib import ExitStack

import servers
from processes import Failed, cpus, until
from report import Row, Table, Wanted
from turns import exchange, in_turn, skip

SIZE = 64
LEVEL = 1
PAYLOAD = 65536  # of zlib-echo
NAMES = {"Sockqd": "sockqd", "Other": "sockqd, other build", "Epoll": "bare epoll loop", "Recvfrom": "recvfrom/sendto",
         "Recvmmsg": "recvmmsg/sendmmsg", "Sockperf": "sockperf server", "Socat": "socat"}


def _start(stack, run, rows, kind, size=SIZE):
    """A server for each row; a row whose peer is missing says so."""
    running = {}
    for row in rows:
        try:
            running[row.name] = stack.enter_context(getattr(servers, row.server)(run.place, kind, size))
        except Failed as reason:
            _skip(row, rows, reason)
    return running


def _skip(row, rows, reason):
    """A peer may be missing or fail; sockqd, the first row, may not."""
    if row is rows[0]:
        raise reason
    skip(row, reason)


def _server_rows(run, peers, wanted=None):
    """sockqd's first."""
    peers = [("Sockqd", wanted), *([("Other", None)] if run.place.against else []), *peers]
    return [Row(NAMES[server], wanted=wanted, server=server) for server, wanted in peers]


RATIOS = {"rate": "RATE sockqd/peer", "cpu_usec": "PAYLOADS/CPU s sockqd/peer"}


def _compare(rows, judged):
    """Fills the peers' rows: sockqd against each, round by round, by rate and by CPU. One of both is judged. Returns the
    headings of both, that of the judged one last."""
    own, *peers = rows
    other = next(column for column in RATIOS if column != judged)
    for row in peers:
        if row.skipped:
            continue
        ratio = {"rate": [ours / theirs for ours, theirs in zip(own.samples["rate"], row.samples["rate"])],
                 "cpu_usec": [theirs / ours for ours, theirs in zip(own.samples["cpu_usec"], row.samples["cpu_usec"])]}
        row.judged, row.samples["ratio"] = ratio[judged], ratio[other]
    return {"ratio": RATIOS[other]}, RATIOS[judged]


def _alone(run, name, **options):
    """The same of a program that needs no server, on the CPU that a server would have."""
    with run.load(name, cpus()[0], **options) as load:
        before = load.cpu_seconds()
        result = load.run()
        return result, (load.cpu_seconds() - before) * 1e6 / result["payloads"]


def _rates(run, job, title, kind, peers, load, judged, **options):
    """The common shape: payloads a second and CPU a payload; `judged` is the column to compare by."""
    rows = _server_rows(run, peers)
    with ExitStack() as stack:
        running = _start(stack, run, rows, kind)
        for number in range(run.rounds):
            run.say(f"{job}, {title}: round {number + 1} of {run.rounds}")
            for row in in_turn(rows, number):
                try:
                    result, cpu_usec = exchange(run, running[row.name], load, size=SIZE, msec=run.msec,
                                                reply=running[row.name].reply_size, **options)
                except Failed as reason:
                    _skip(row, rows, reason)
                    continue
                row.add(rate=result["payloads"] / result["seconds"], cpu_usec=cpu_usec,
                        **{key: result[key] for key in ("p99_usec", "lost") if key in result})
    further, heading = _compare(rows, judged)
    columns = {"rate": "PAYLOADS/S", "cpu_usec": "CPU us/PAYLOAD"}
    columns |= {"p99_usec": "P99 us"} if kind == "tcp" else {"lost": "LOST"}
    return Table(job, title, columns | further, heading, rows)


def tcp_ack(run):
    peers = [("Epoll", Wanted(0.95)), ("Sockperf", Wanted(1.0)), ("Socat", None)]
    return [_rates(run, "tcp-ack", f"{SIZE} B requests, 50 connections", "tcp", peers, "load-tcp", "rate",
                   connections=50)]


def udp_ack(run):
    shapes = [
        ("bursts of 64 from one client", {"shape": 0},
         [("Recvfrom", Wanted(1.4)), ("Recvmmsg", None), ("Sockperf", None), ("Socat", None)]),
        ("1000 clients, one datagram each", {"shape": 1},
         [("Recvfrom", Wanted(1.0)), ("Recvmmsg", None), ("Sockperf", None)]),
        ("one client that sends 64 datagrams in one UDP_SEGMENT send", {"shape": 2, "window": 256},
         [("Recvfrom", None), ("Recvmmsg", Wanted(5.0)), ("Sockperf", None)]),
    ]
    return [_rates(run, "udp-ack", f"{SIZE} B, {title}", "udp", peers, "load-udp", "cpu_usec", **options)
            for title, options, peers in shapes]


def zlib_echo(run):
    return [_zlib_echo(run, *variant) for variant in ((0, "plain in, zlib out"), (1, "zlib in, zlib out"))]


def _zlib_echo(run, compressed, title):
    settings = f'compression = "zlib:{LEVEL}";' + (' decompression = "zlib";' if compressed else "")
    own, memory = rows = [Row("sockqd"), Row("zlib in memory", wanted=Wanted(0.85))]
    options = {"compressed": compressed, "level": LEVEL, "size": PAYLOAD, "msec": run.msec}

    with servers.Sockqd(run.place, "tcp", PAYLOAD, target="echo", settings=settings) as server:
        for number in range(run.rounds):
            run.say(f"zlib-echo, {title}: round {number + 1} of {run.rounds}")
            for row in in_turn(rows, number):
                if row is own:
                    result, cpu_usec = exchange(run, server, "load-zlib", **options)
                else:
                    result, cpu_usec = _alone(run, "load-zlib", memory=1, **options)
                row.add(rate=result["payloads"] * PAYLOAD / 1e6 / result["seconds"], cpu_usec=cpu_usec)
    further, heading = _compare(rows, "rate")
    return Table("zlib-echo", f"level {LEVEL}, 64 KB payloads, {title}",
                 {"rate": "MB/S", "cpu_usec": "CPU us/PAYLOAD"} | further, heading, rows)


def idle(run):
    few = min(run.flows, 100)  # socat has a process for each
    rows = _server_rows(run, [("Epoll", None), ("Sockperf", None), ("Socat", None)], Wanted(300, at_least=False))
    for number in range(run.rounds):
        run.say(f"idle: round {number + 1} of {run.rounds}")
        for row in in_turn(rows, number):
            try:
                _hold(run, row, few if row.server in ("Socat", "Sockperf") else run.flows)
            except Failed as reason:
                _skip(row, rows, reason)
    rows[0].judged = rows[0].samples["idle"]
    title = f"own memory (PSS) for each of {run.flows:,} connections; sockperf server and socat: of {few}"
    return [Table("idle", title, {"idle": "IDLE bytes", "used": "AFTER A PAYLOAD EACH bytes"}, "BYTES", rows)]


def _hold(run, row, connections):
    with getattr(servers, row.server)(run.place, "tcp", SIZE) as server:
        before, descriptors = server.process.pss_bytes(), server.process.descriptors()
        with run.load("hold-tcp", port=server.port, connections=connections, size=SIZE,
                      reply=server.reply_size) as load:
            until(lambda: server.process.descriptors() >= descriptors + connections,
                  f"{row.name}: {connections} connections")
            silent = server.process.pss_bytes()
            load.run()
            used = server.process.pss_bytes()
    row.add(idle=(silent - before) / connections, used=(used - before) / connections)


class _Changes:
    """DSCP and priority of everything, another value each time."""

    def __init__(self, server):
        self.server, self.next = server, 0

    def one(self):
        """Milliseconds, the start of sockqctl included."""
        words = (("dscp=EF", "priority=6"), ("dscp=AF41", "priority=5"))[self.next % 2]
        self.next += 1
        begun = time.monotonic()
        self.server.ctl("set", "bench", *words)
        return (time.monotonic() - begun) * 1000


PER_ROUND = 5  # changes of each kind


def live_change(run):
    bare, quiet_set, busy_set = setting = [Row("bare setsockopt calls"),
                                           Row("sockqctl set", wanted=Wanted(3.0, at_least=False)),
                                           Row("sockqctl set under traffic")]
    alone, beside = traffic = [Row("without changes"), Row("a change a second", wanted=Wanted(1.2, at_least=False))]
    with ExitStack() as stack:
        server = stack.enter_context(servers.Sockqd(run.place, "tcp", SIZE))
        hold = stack.enter_context(run.load("hold-tcp", port=server.port, connections=run.flows))
        until(lambda: server.process.descriptors() > run.flows, f"{run.flows} connections")
        changes = _Changes(server)
        changes.one()
        for number in range(run.rounds):
            run.say(f"live-change: round {number + 1} of {run.rounds}")
            with run.load("set-options", connections=run.flows, times=PER_ROUND) as load:
                bare.add(msec=statistics.median(load.run()["msec"]))
            quiet_set.add(msec=statistics.median(changes.one() for _ in range(PER_ROUND)))
            for row in in_turn(traffic, number):
                _traffic(run, server, row, busy_set, changes if row is beside else None)
        hold.check()
    quiet_set.judged = [ours / theirs for ours, theirs in zip(quiet_set.samples["msec"], bare.samples["msec"])]
    beside.judged = [a / b for a, b in zip(beside.samples["p99_usec"], alone.samples["p99_usec"])]
    return [Table("live-change", f"DSCP and priority on {run.flows:,} established connections",
                  {"msec": "MSEC"}, "TIME sockqctl/bare", setting),
            Table("live-change", f"{SIZE} B requests on 50 further connections of that listener",
                  {"rate": "PAYLOADS/S", "p50_usec": "P50 us", "p99_usec": "P99 us"}, "P99 with/without", traffic)]


def _traffic(run, server, row, set_row, changes):
    """One run of requests, with a change in the middle of each second of it if there are to be changes."""
    with run.load("load-tcp", port=server.port, connections=50, size=SIZE, msec=run.msec) as load:
        load.go()
        if changes:
            set_row.add(msec=statistics.median(_change_each_second(run, changes)))
        result = load.result()
    row.add(rate=result["payloads"] / result["seconds"], p50_usec=result["p50_usec"], p99_usec=result["p99_usec"])


def _change_each_second(run, changes):
    begun, step = time.monotonic(), min(1, run.seconds)
    for number in range(max(1, int(run.seconds))):
        time.sleep(max(0, begun + (number + 0.5) * step - time.monotonic()))
        yield changes.one()


JOBS = {"tcp-ack": tcp_ack, "udp-ack": udp_ack, "idle": idle, "live-change": live_change, "zlib-echo": zlib_echo}
