# SPDX-License-Identifier: MIT
"""What jobs share: turns of servers within a round, a load generator against a server, a server that is skipped."""
import random
from dataclasses import dataclass

import servers
from processes import Failed, Load, cpus


@dataclass
class Run:
    place: servers.Place
    rounds: int
    seconds: float
    flows: int  # idle ones
    say: callable

    def load(self, name, cpu=cpus()[1], **options):
        words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
        return Load([self.place.program(name), *words], cpu, self.place.log(name))

    @property
    def msec(self):
        return int(self.seconds * 1000)


def in_turn(rows, number):
    """In an order of this round's own, so that nobody always follows the same one."""
    live = [row for row in rows if not row.skipped]
    return random.Random(number).sample(live, len(live))


def skip(row, reason):
    """Says why: what failed, and the last thing that it said."""
    first, *rest = str(reason).split("\n")
    said = [line.removeprefix(first.split()[0] + ": ") for line in rest[-1:]]
    row.skipped, row.samples, row.wanted = " ".join([first, *said]), {}, None


def used(server, work):
    """(What `work` returns, seconds of CPU that the server used meanwhile; None where there is no server)."""
    if not server.process:
        return work(), None
    before = server.process.cpu_seconds()
    result = work()
    seconds = server.process.cpu_seconds() - before
    server.process.check()
    return result, seconds


def exchange(run, server, name, **options):
    """One run of a load generator against a server: (its result, the server's CPU us a payload)."""
    with run.load(name, port=server.port, **options) as load:
        result, seconds = used(server, load.run)
    if server.process:
        server.process.settle()
    if not result["payloads"]:
        raise Failed(f"{type(server).__name__.lower()} answered nothing")
    return result, seconds and seconds * 1e6 / result["payloads"]
