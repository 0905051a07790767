# SPDX-License-Identifier: MIT
"""The jobs of tools/bench that measure target forward. Each runs its rounds, relays in turn within each, and returns
tables. No relay, sockqd neither, ends a job: its row says why it is skipped."""
import json
import os
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import relays
import servers
from processes import PATIENCE, Failed, cpus, until
from report import Row, Table, Wanted
from turns import exchange, in_turn, skip, used

GB = 1e9
SIZE = 64
IDLE_CONNECTIONS = 5000
PAUSE_USEC = 100  # between them: systemd-socket-proxyd resolves its upstream for each, and not many at once
SCRIPT = Path(__file__).with_name("wrk.lua")


@dataclass(frozen=True)
class Aim:
    """What is wanted of sockqd beside the best peer: the one with the highest rate of the round."""
    column: str
    label: str
    wanted: Wanted


def _at_least(value):
    return Wanted(value)


def _at_most(value):
    return Wanted(value, at_least=False)


# ---- shape of a comparison ----

def _rows(run, peers, wanted=None):
    """sockqd's first. A peer is a class in relays.py, or a pair: the class, and what is wanted of sockqd beside it."""
    pairs = [peer if isinstance(peer, tuple) else (peer, None) for peer in peers]
    pairs = [("Sockqd", wanted), *([("Other", None)] if run.place.against else []), *pairs]
    return [Row(getattr(relays, server).name, wanted=wanted, server=server) for server, wanted in pairs]


def _start(stack, run, rows, kind, upstream):
    """`upstream`: a class in relays.py, to start as well; None: the load generator is the upstream."""
    running, port = {}, None
    try:
        port = upstream and stack.enter_context(upstream(run.place, kind, None)).port
    except Failed as reason:
        for row in rows:
            skip(row, reason)
        return running
    for row in rows:
        try:
            running[row.name] = stack.enter_context(getattr(relays, row.server)(run.place, kind, port))
        except Failed as reason:
            skip(row, reason)
    return running


def _turns(run, what, rows, turn):
    """`turn(row)`: what one turn of that row measured, by column."""
    for number in range(run.rounds):
        run.say(f"{what}: round {number + 1} of {run.rounds}")
        for row in in_turn(rows, number):
            try:
                row.add(**{column: value for column, value in turn(row).items() if value is not None})
            except Failed as reason:
                skip(row, reason)


def _divided(ours, theirs):
    return [a / b for a, b in zip(ours, theirs)]


def _best(peers, column):
    """What the best peer of each round had in a column."""
    rounds = zip(*(zip(peer.samples["rate"], peer.samples[column]) for peer in peers))
    return [max(turns)[1] for turns in rounds]


def _judge(rows, aims):
    """sockqd against each row, then further rows: against the best peer."""
    own, *others = rows
    if own.skipped:
        for row in others:
            row.wanted = None
        return rows
    others = [row for row in others if not row.skipped]
    for row in others:
        row.judged = _divided(own.samples["rate"], row.samples["rate"])
        if "cpu" in row.samples:
            row.samples["cpu_ratio"] = _divided(own.samples["cpu"], row.samples["cpu"])
    peers = [row for row in others if row.server not in ("Other", "Direct")]
    best = {aim: _best(peers, aim.column) for aim in aims if peers}
    return rows + [Row(f"best peer: {aim.label}", {aim.column: values}, _divided(own.samples[aim.column], values),
                       aim.wanted) for aim, values in best.items()]


def _compare(run, job, title, kind, peers, columns, turn, aims=(), upstream=None):
    """The common shape. `turn(relay)` measures "rate" and "cpu", and further columns."""
    rows = _rows(run, peers)
    with ExitStack() as stack:
        running = _start(stack, run, rows, kind, upstream)
        _turns(run, f"{job}, {title}", rows, lambda row: turn(running[row.name]))
    return Table(job, title, columns | {"cpu_ratio": "CPU sockqd/row"}, "sockqd/row", _judge(rows, aims), "RELAY")


# ---- bulk ----

def _bulk(run, relay, msec, **options):
    result, usec = exchange(run, relay, "load-bulk", cpu=None, sink=relay.upstream, msec=msec, **options)
    return {"rate": result["payloads"] * 8 / GB / result["seconds"], "cpu": usec and usec * GB / 1e6}


def relay_bulk(run):
    peers = ["HaproxySplice", "HaproxyPipes", "Nginx", "NginxLarge", "SocketProxyd", "Socat"]
    cpu = Aim("cpu", "CPU", _at_most(1))
    variants = [
        (1, "one stream", ("Direct", _at_least(0.8)), (Aim("rate", "rate", _at_least(1.15)), cpu)),
        (8, "eight streams", "Direct", (Aim("rate", "rate", _at_least(1.1)),)),
    ]
    return [_compare(run, "relay-bulk", f"{title}, writes of 128 KB", "tcp", [direct, *peers],
                     {"rate": "GBIT/S", "cpu": "CPU s/GB"},
                     lambda relay: _bulk(run, relay, run.msec, streams=streams), aims)
            for streams, title, direct, aims in variants]


WRITES = (64, 512, 4096, 16384, 65536, 1048576)
WRITES_MSEC = 1000  # there are many


def relay_writes(run):
    """A table on its side: a row for each size, a column for each relay."""
    peers = _rows(run, ["HaproxySplice", "HaproxyPipes", "NginxLarge", "SocketProxyd"])
    rows = []
    with ExitStack() as stack:
        running = _start(stack, run, peers, "tcp", None)
        for nodelay in (1, 0):
            for size in WRITES:
                rows.append(_writes_row(run, peers, running, size, nodelay))
    columns = {peer.name: peer.name for peer in peers if not peer.skipped} | {"cpu_ratio": "CPU sockqd/best peer"}
    return [Table("relay-writes", "one stream, Gbit/s by the size of writes", columns, "RATE sockqd/best peer", rows,
                  "WRITES")]


def _writes_row(run, peers, running, size, nodelay):
    title = f"{size:,} B{', NODELAY' if nodelay else ''}"
    rows = [Row(peer.name, server=peer.server, skipped=peer.skipped) for peer in peers]
    _turns(run, f"relay-writes, {title}", rows, lambda row: _bulk(
        run, running[row.name], min(run.msec, WRITES_MSEC), write=size, nodelay=nodelay))
    live = [row for row in rows if not row.skipped]
    others = [row for row in live if row.server not in ("Sockqd", "Other")]
    result = Row(title, {row.name: row.samples["rate"] for row in live})
    if not rows[0].skipped and others:
        own = rows[0].samples
        result.judged, result.wanted = _divided(own["rate"], _best(others, "rate")), _at_least(0.95)
        result.samples["cpu_ratio"] = _divided(own["cpu"], _best(others, "cpu"))
    return result


# ---- requests, connections ----

USEC_COLUMNS = {"cpu": "CPU us", "p99": "P99 us"}


def _wrk(run, relay, connections):
    command = [servers.needs("wrk"), "--threads", 1, "--connections", connections, "--script", SCRIPT, "--duration",
               max(1, round(run.seconds)), f"http://127.0.0.1:{relay.port}/"]
    cpu = cpus()[1]

    def work():
        try:
            done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                                  timeout=run.seconds + PATIENCE,
                                  preexec_fn=cpu and (lambda: os.sched_setaffinity(0, cpu)))
        except subprocess.TimeoutExpired as late:
            raise Failed(str(late)) from late
        if done.returncode != 0:
            raise Failed(f"wrk ended with status {done.returncode}\n{done.stderr}".strip())
        return json.loads(done.stdout.rstrip().rpartition("\n")[2])
    result, seconds = used(relay, work)
    if relay.process:
        relay.process.settle()
    if result["errors"] or not result["payloads"]:
        raise Failed(f"{result['errors']} requests failed, {result['payloads']} did not")
    return {"rate": result["payloads"] / result["seconds"], "cpu": seconds and seconds * 1e6 / result["payloads"],
            "p99": result["p99_usec"]}


def relay_rr(run):
    peers = ["Direct", "Haproxy", "HaproxySplice", "Nginx", "SocketProxyd", "Socat"]
    aims = (Aim("rate", "rate", _at_least(1.1)), Aim("cpu", "CPU", _at_most(0.8)), Aim("p99", "p99", _at_most(1)))
    return [_compare(run, "relay-rr", f"wrk to nginx (HTTP), {n} connections", "tcp", peers,
                     {"rate": "REQUESTS/S"} | USEC_COLUMNS, lambda relay: _wrk(run, relay, n), aims, relays.Http)
            for n in (50, 500)]


def _churn(run, relay):
    result, usec = exchange(run, relay, "load-churn", sink=relay.upstream, size=SIZE, msec=run.msec)
    return {"rate": result["payloads"] / result["seconds"], "cpu": usec, "p99": result["p99_usec"]}


def relay_churn(run):
    peers = ["Direct", "Haproxy", "HaproxySplice", "Nginx", "SocketProxyd", "Socat"]
    aims = (Aim("rate", "rate", _at_least(1.15)), Aim("cpu", "CPU", _at_most(0.8)))
    return [_compare(run, "relay-churn", f"connections with a request and a reply of {SIZE} B, 50 at a time, from 1,000 "
                     "addresses", "tcp", peers, {"rate": "CONNECTIONS/S"} | USEC_COLUMNS,
                     lambda relay: _churn(run, relay), aims)]


# ---- idle ----

def relay_idle(run):
    wanted = min(run.flows, IDLE_CONNECTIONS)
    rows = _rows(run, ["Haproxy", "Nginx", "SocketProxyd", "Socat"], _at_most(300))
    _turns(run, "relay-idle", rows, lambda row: _hold(run, row, min(wanted, getattr(relays, row.server).most)))
    rows[0].judged = rows[0].samples.get("idle", [])
    for row in rows:
        most = getattr(relays, row.server).most
        row.name += f" ({most:,})" if most < wanted else ""
    return [Table("relay-idle", f"own memory (PSS) for each of {wanted:,} relayed connections (or of how many it says)",
                  {"idle": "IDLE bytes", "used": "AFTER A PAYLOAD EACH bytes"}, "BYTES", rows, "RELAY")]


def _hold(run, row, connections):
    with servers.Epoll(run.place, "tcp", SIZE) as upstream, \
         getattr(relays, row.server)(run.place, "tcp", upstream.port) as relay:
        before, descriptors = relay.process.pss_bytes(), relay.process.descriptors()
        with run.load("hold-tcp", port=relay.port, connections=connections, pause=PAUSE_USEC, size=SIZE) as load:
            until(lambda: relay.process.descriptors() >= descriptors + relay.descriptors * connections,
                  f"{row.name}: {connections} relayed connections")
            silent = relay.process.pss_bytes()
            load.run()
            after = relay.process.pss_bytes()
        relay.process.check()
    return {"idle": (silent - before) / connections, "used": (after - before) / connections}


# ---- UDP ----

FLOWS = 16
# Size, one send for a burst, how many datagrams that is, how many of a flow may be on their way.
UDP_SHAPES = ((64, 0, 16, 32), (1200, 0, 8, 8), (64, 1, 64, 64), (1200, 1, 54, 54))


def _udp(run, relay, size, gso, burst, window):
    result, usec = exchange(run, relay, "load-flows", sink=relay.upstream, flows=FLOWS, size=size, gso=gso, burst=burst,
                            window=window, msec=run.msec)
    return {"rate": result["payloads"] / result["seconds"], "cpu": usec,
            "lost": 100 * result["lost"] / (result["payloads"] + result["lost"])}


def relay_udp(run):
    columns = {"rate": "DATAGRAMS/S", "cpu": "CPU us", "lost": "LOST %"}

    def one(shape):
        size, gso = shape[:2]
        title = f"{FLOWS} flows of {size} B, {'UDP_SEGMENT' if gso else 'ordinary'} sends"
        peers = ["Direct", ("Nginx", _at_least(10 if gso else 2.5)), "Socat"]
        return _compare(run, "relay-udp", title, "udp", peers, columns, lambda relay: _udp(run, relay, *shape))
    return [one(shape) for shape in UDP_SHAPES]


JOBS = {"relay-bulk": relay_bulk, "relay-writes": relay_writes, "relay-rr": relay_rr, "relay-churn": relay_churn,
        "relay-idle": relay_idle, "relay-udp": relay_udp}
