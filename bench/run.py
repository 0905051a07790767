# SPDX-License-Identifier: MIT
"""Measures sockqd beside its peers; see bench/README.md. Started by tools/bench, in a network of its own if it can."""
import argparse
import json
import os
import platform
import resource
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import jobs
import relay_jobs
from processes import Failed
from report import as_json, text
from servers import Place
from turns import Run

JOBS = jobs.JOBS | relay_jobs.JOBS
ROOT = Path(__file__).resolve().parents[1]
CONGESTION = "cubic"
ROUTES = ("127.0.0.0/8", "127.0.0.1")


def arguments():
    parser = argparse.ArgumentParser(prog="tools/bench", description="Measure sockqd beside its peers.")
    parser.add_argument("jobs", nargs="*", metavar="JOB", help=f"{', '.join(JOBS)}; all of them if none is given")
    parser.add_argument("--rounds", type=int, default=7, help="how often each server has its turn (7)")
    parser.add_argument("--seconds", type=float, default=2, help="how long a turn is (2)")
    parser.add_argument("--flows", type=int, default=9000,
                        help="connections of idle and live-change (9000), and up to 5000 of relay-idle")
    parser.add_argument("--against", type=Path, metavar="BUILD",
                        help="compare with the sockqd of this build folder, too, where servers are compared")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--namespace", action="store_true", help=argparse.SUPPRESS)
    parsed = parser.parse_args()
    unknown = [job for job in parsed.jobs if job not in JOBS]
    if unknown:
        parser.error(f"there is no job {unknown[0]}; jobs are {', '.join(JOBS)}")
    if parsed.rounds < 1 or parsed.seconds <= 0 or parsed.flows < 1:
        parser.error("--rounds, --seconds and --flows must be positive")
    return parsed


def prepare_network():
    """In our own network namespace: the loopback is up, every connection over it has the same congestion control, and none begins
    with what an earlier one has found out about the path, tcp_metrics(8)."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    try:
        Path("/proc/sys/net/ipv4/tcp_no_metrics_save").write_text("1")
    except OSError as error:
        print(f"warning: connections begin with what earlier ones found out: {error}", file=sys.stderr)
    for route in ROUTES:
        subprocess.run(["ip", "route", "replace", "local", route, "dev", "lo", "table", "local", "proto", "kernel",
                        "scope", "host", "src", "127.0.0.1", "congctl", CONGESTION], check=True)


def congestion():
    """What a connection over the loopback has."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        return client.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()


def machine():
    model = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().split("\n")
                  if line.startswith("model name")), platform.machine())
    return {"cpu": model, "cpus": len(os.sched_getaffinity(0)), "kernel": platform.release(),
            "congestion": congestion(), "load_before": os.getloadavg()[0]}


def flows_possible(wanted):
    """set-options holds both ends of each connection."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return min(wanted, (hard - 500) // 2)


def on_signal(number, _):
    raise SystemExit(128 + number)


def main():
    options = arguments()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, on_signal)
    if options.namespace:
        prepare_network()
    facts = machine()
    if facts["congestion"] != CONGESTION:
        print(f"warning: congestion control is {facts['congestion']}, not {CONGESTION}, and there may be no network "
              "namespace to change that in", file=sys.stderr)
    tables = []
    with tempfile.TemporaryDirectory(prefix="sockq-bench-") as folder:
        run = Run(Place(ROOT / "build-bench", folder, options.against), options.rounds, options.seconds,
                  flows_possible(options.flows), lambda line: print(line, file=sys.stderr))
        try:
            for job in options.jobs or JOBS:
                tables += JOBS[job](run)
        except Failed as failure:
            sys.exit(f"tools/bench: {failure}")
    facts["load_after"] = os.getloadavg()[0]
    if options.json:
        print(json.dumps({"machine": facts, "rounds": options.rounds, "seconds": options.seconds,
                          "tables": as_json(tables)}, indent=2))
        return
    print(f"{facts['cpu']}, {facts['cpus']} CPUs, Linux {facts['kernel']}, {facts['congestion']}; {options.rounds} rounds"
          f" of {options.seconds:g} s; load average {facts['load_before']:.1f} before, {facts['load_after']:.1f} after\n")
    print(text(tables))


main()
