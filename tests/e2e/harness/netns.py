# SPDX-License-Identifier: MIT
"""Two network namespaces joined by a veth pair, with an nft counter for each DSCP that arrives."""
import contextlib
import ctypes
import json
import os
import re
import shutil
import subprocess

_CLONE_NEWNET = 0x40000000


def why_not():
    """None, or why there can be no namespaces here."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for tool in ("ip", "nft"):
        if not shutil.which(tool):
            return f"{tool} is not installed"
    tried = subprocess.run(["unshare", "--net", "true"], capture_output=True, text=True)
    return None if tried.returncode == 0 else f"no network namespace: {tried.stderr.strip()}"


def _run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Link:
    """server (10.213.0.1, fd5c::1) and client (10.213.0.2, fd5c::2), in namespaces of unique names."""

    V4 = {"server": "10.213.0.1", "client": "10.213.0.2"}
    V6 = {"server": "fd5c::1", "client": "fd5c::2"}

    def __init__(self):
        self.names = {end: f"sockq-{os.getpid()}-{end}" for end in self.V4}
        try:
            for name in self.names.values():
                _run("ip", "netns", "add", name)
            _run("ip", "link", "add", "sockq0", "netns", self.names["server"], "type", "veth",
                 "peer", "name", "sockq0", "netns", self.names["client"])
            for end, name in self.names.items():
                for word in (["addr", "add", self.V4[end] + "/24", "dev", "sockq0"],
                             ["addr", "add", self.V6[end] + "/64", "dev", "sockq0", "nodad"],
                             ["link", "set", "sockq0", "up"], ["link", "set", "lo", "up"]):
                    _run("ip", "-n", name, *word)
        except BaseException:
            self.close()
            raise

    def command(self, end):
        """The prefix that runs a command at an end."""
        return ["ip", "netns", "exec", self.names[end]]

    @contextlib.contextmanager
    def inside(self, end):
        """Sockets that this thread makes meanwhile, and programs that it starts, are at that end; sockets stay there."""
        libc = ctypes.CDLL(None, use_errno=True)

        def enter(fd):
            if libc.setns(fd, _CLONE_NEWNET) < 0:
                raise OSError(ctypes.get_errno(), "setns")
        with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{self.names[end]}") as there:
            enter(there.fileno())
            try:
                yield
            finally:
                enter(home.fileno())

    def slow_down(self, end, rate):
        """What leaves an end does so at this rate, in words of tc(8); up to 1 MB of it waits."""
        _run("tc", "-n", self.names[end], "qdisc", "add", "dev", "sockq0", "root", "tbf", "rate", rate, "burst", "10k",
             "limit", "1m")

    def divide(self, end, rate, classes):
        """What leaves an end shares this rate by mark: {class: (guaranteed rate, DSCP, bytes that wait)}, the first one first. Each
        may have all of it; other marks are of the last class. tc-htb(8)."""
        def tc(*words):
            _run("tc", "-n", self.names[end], *words[:2], "dev", "sockq0", *words[2:])

        # A packet each, not a burst of them, so that a short queue is one.
        _run("ip", "-n", self.names[end], "link", "set", "sockq0", "gso_max_segs", "1")
        tc("qdisc", "add", "root", "handle", "1:", "htb", "default", list(classes)[-1].removeprefix("1:"))
        tc("class", "add", "parent", "1:", "classid", "1:1", "htb", "rate", rate)
        for priority, (name, (guaranteed, dscp, queue)) in enumerate(classes.items()):
            tc("class", "add", "parent", "1:1", "classid", name, "htb", "rate", guaranteed, "ceil", rate, "prio", str(priority))
            tc("qdisc", "add", "parent", name, "bfifo", "limit", str(queue))
            tc("filter", "add", "parent", "1:", "protocol", "ip", "u32", "match", "ip", "tos", hex(dscp << 2), "0xfc", "flowid", name)

    def divided(self, end):
        """{class: bytes that it has sent}"""
        listing = _run("tc", "-n", self.names[end], "-s", "class", "show", "dev", "sockq0")
        return {name: int(sent) for name, sent in re.findall(r"^class htb (\S+) .*\n Sent (\d+) bytes", listing, re.M)}

    def count_received(self, end, port, dscps, which="sport"):
        """Counters at an end for what arrives from a port (with "dport": for one) with each of these marks."""
        rules = [f"add table inet sockq; add chain inet sockq in {{ type filter hook input priority 0; }}"]
        for dscp in dscps:
            rules.append(f"add counter inet sockq dscp{dscp}")
            for family in ("ip", "ip6"):
                for protocol in ("tcp", "udp"):
                    rules.append(f"add rule inet sockq in {family} dscp {dscp} {protocol} {which} {port} "
                                 f"counter name dscp{dscp}")
        subprocess.run([*self.command(end), "nft", "-f", "-"], input="\n".join(rules), text=True, check=True,
                       capture_output=True)

    def counted(self, end):
        """{dscp: packets}"""
        listing = json.loads(_run(*self.command(end), "nft", "-j", "list", "counters", "table", "inet", "sockq"))
        return {int(item["counter"]["name"][4:]): item["counter"]["packets"]
                for item in listing["nftables"] if "counter" in item}

    def close(self):
        for name in self.names.values():
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
