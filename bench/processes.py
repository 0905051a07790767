# SPDX-License-Identifier: MIT
"""Processes of a measurement: measured by /proc, ended by their id whatever happens."""
import json
import os
import signal
import subprocess
import time
from pathlib import Path

PATIENCE = 30  # seconds for anything to start or end
SETTLE = 5
TICKS = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A program did not do its part; the text says which and why."""


def cpus():
    """(the servers', the load generators'): one each, None where there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return ({allowed[0]}, {allowed[1]}) if len(allowed) > 1 else (None, None)


def until(true, what):
    end = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {PATIENCE} s")
        time.sleep(0.01)


def _stat(pid):
    """Fields of /proc/PID/stat from the third on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


class Process:
    """A command, running. `log`: where its standard error goes."""

    def __init__(self, command, cpu=None, log=None, **keywords):
        self.name = Path(command[0]).name
        self.log = log
        with open(log, "ab") if log else open(os.devnull, "wb") as stderr:
            self.popen = subprocess.Popen([str(word) for word in command], stderr=stderr,
                                          preexec_fn=cpu and (lambda: os.sched_setaffinity(0, cpu)), **keywords)
        self.pid = self.popen.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        children = self.family()[1:]
        for number in (signal.SIGTERM, signal.SIGKILL):
            self.popen.send_signal(number)
            try:
                self.popen.wait(PATIENCE)
                break
            except subprocess.TimeoutExpired:
                pass
        for pid in children:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for stream in (self.popen.stdin, self.popen.stdout):
            if stream:
                stream.close()

    def check(self):
        """Raises when it has ended."""
        if self.popen.poll() is not None:
            raise Failed(f"{self.name} ended with status {self.popen.returncode}{self.last_words()}")

    def last_words(self):
        text = Path(self.log).read_text(errors="replace").strip() if self.log else ""
        return ":\n" + "\n".join(text.split("\n")[-10:]) if text else ""

    def family(self):
        """Its pid and those of its descendants."""
        parents = {}
        for entry in os.listdir("/proc"):
            try:
                if entry.isdigit():
                    parents[int(entry)] = int(_stat(entry)[1])
            except (FileNotFoundError, ProcessLookupError):
                pass
        found = [self.pid] if self.pid in parents else []
        for parent in found:
            found += [pid for pid, its_parent in parents.items() if its_parent == parent]
        return found

    def cpu_seconds(self):
        """User and system time of the family, those included that have ended and been waited for. Of the living not from
        /proc/PID/stat, whose ticks lose what many children use."""
        def tasks(pid):
            try:
                return [f"/proc/{pid}/task/{task}" for task in os.listdir(f"/proc/{pid}/task")]
            except (FileNotFoundError, ProcessLookupError):
                return []

        def one(task):
            try:
                return int(Path(task, "schedstat").read_text().split()[0])
            except (FileNotFoundError, ProcessLookupError):
                return 0

        def ended(pid):
            try:
                return sum(map(int, _stat(pid)[13:15]))
            except (FileNotFoundError, ProcessLookupError):
                return 0
        family = self.family()
        living = sum(one(task) for pid in family for task in tasks(pid))
        return living / 1e9 + sum(map(ended, family)) / TICKS

    def settle(self):
        """Until it works no more, for some seconds at most: hundreds of children that end would be at the next one's cost."""
        end = time.monotonic() + SETTLE
        while time.monotonic() < end:
            before = self.family(), self.cpu_seconds()
            time.sleep(0.05)
            if self.family() == before[0] and abs(self.cpu_seconds() - before[1]) < 0.002:
                return

    def pss_bytes(self):
        """Its own memory: pages that others map as well count in part."""
        def one(pid):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().split("\n"):
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
            return 0
        return sum(map(one, self.family()))

    def descriptors(self):
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.family())

    def wait_bound(self, kind, port):
        """Until something of our network listens at (tcp) or is bound to (udp) the port."""
        wanted, state = f"{port:04X}", {"tcp": "0A", "udp": "07"}[kind]

        def bound():
            self.check()
            rows = [line.split() for line in Path(f"/proc/net/{kind}").read_text().split("\n")[1:] if line]
            return any(row[1].rpartition(":")[2] == wanted and row[3] == state for row in rows)
        until(bound, f"{self.name} on {kind} port {port}")


class Load(Process):
    """A load generator: ready when made; run() lets it work and returns what it measured."""

    def __init__(self, command, cpu, log):
        super().__init__(command, cpu, log, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            self._line()
        except BaseException:
            self.end()
            raise

    def _line(self):
        line = self.popen.stdout.readline()
        if not line:
            self.popen.wait(PATIENCE)
            raise Failed(f"{self.name} failed{self.last_words()}")
        return line

    def go(self):
        self.popen.stdin.write("\n")
        self.popen.stdin.flush()

    def result(self):
        return json.loads(self._line())

    def run(self):
        self.go()
        return self.result()
