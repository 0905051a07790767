# SPDX-License-Identifier: MIT
"""Network namespaces joined by veth pairs, with an nft counter for each DSCP that arrives or passes."""
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


class _Namespaces:
    """Of unique names."""

    def __init__(self, *ends):
        self.names = {end: f"sockq-{os.getpid()}-{end}" for end in ends}
        try:
            for name in self.names.values():
                _run("ip", "netns", "add", name)
                _run("ip", "-n", name, "link", "set", "lo", "up")
            self._join_all()
        except BaseException:
            self.close()
            raise

    def _join(self, end, device, addresses, other, other_device, other_addresses):
        _run("ip", "link", "add", device, "netns", self.names[end], "type", "veth", "peer", "name", other_device, "netns",
             self.names[other])
        for end, device, addresses in ((end, device, addresses), (other, other_device, other_addresses)):
            for address in addresses:
                _run("ip", "-n", self.names[end], "addr", "add", address, "dev", device, *(["nodad"] if ":" in address else []))
            _run("ip", "-n", self.names[end], "link", "set", device, "up")

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

    def count(self, end, port, dscps, which="sport", hook="input", table="sockq"):
        """Counters at an end for what arrives there (hook "forward": passes) from a port (with "dport": for one) with each of
        these marks. More of them at one end: each a table of its own."""
        rules = [f"add table inet {table}; add chain inet {table} seen {{ type filter hook {hook} priority 0; }}"]
        for dscp in dscps:
            rules.append(f"add counter inet {table} dscp{dscp}")
            for family in ("ip", "ip6"):
                for protocol in ("tcp", "udp"):
                    rules.append(f"add rule inet {table} seen {family} dscp {dscp} {protocol} {which} {port} "
                                 f"counter name dscp{dscp}")
        subprocess.run([*self.command(end), "nft", "-f", "-"], input="\n".join(rules), text=True, check=True,
                       capture_output=True)

    def counted(self, end, table="sockq"):
        """{dscp: packets}"""
        listing = json.loads(_run(*self.command(end), "nft", "-j", "list", "counters", "table", "inet", table))
        return {int(item["counter"]["name"][4:]): item["counter"]["packets"]
                for item in listing["nftables"] if "counter" in item}

    def close(self):
        for name in self.names.values():
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


class Link(_Namespaces):
    """server (10.213.0.1, fd5c::1) and client (10.213.0.2, fd5c::2)."""

    V4 = {"server": "10.213.0.1", "client": "10.213.0.2"}
    V6 = {"server": "fd5c::1", "client": "fd5c::2"}

    def __init__(self):
        super().__init__(*self.V4)

    def _join_all(self):
        ends = [(end, "sockq0", [self.V4[end] + "/24", self.V6[end] + "/64"]) for end in self.V4]
        self._join(*ends[0], *ends[1])

    def slow_down(self, end, rate):
        """What leaves an end does so at this rate, in words of tc(8); up to 1 MB of it waits."""
        _run("tc", "-n", self.names[end], "qdisc", "add", "dev", "sockq0", "root", "tbf", "rate", rate, "burst", "10k",
             "limit", "1m")

    def divide(self, end, rate, classes):
        """What leaves an end shares this rate by mark: {class: (guaranteed rate, DSCP, bytes that wait)}, the first one first. Each
        may have all of it; other marks, and IPv6, are of the last class. tc-htb(8)."""
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


class Routed(_Namespaces):
    """client, relay and upstream, each at a link of its own to the router between them."""

    ENDS = ("client", "relay", "upstream")
    V4 = {end: f"10.214.{i}.2" for i, end in enumerate(ENDS)}
    V6 = {end: f"fd5d:{i}::2" for i, end in enumerate(ENDS)}

    def __init__(self):
        super().__init__("router", *self.ENDS)

    def _join_all(self):
        for i, end in enumerate(self.ENDS):
            self._join(end, "sockq0", [self.V4[end] + "/24", self.V6[end] + "/64"],
                       "router", f"sockq{i}", [f"10.214.{i}.1/24", f"fd5d:{i}::1/64"])
            for gateway in (f"10.214.{i}.1", f"fd5d:{i}::1"):
                _run("ip", "-n", self.names[end], "route", "add", "default", "via", gateway)
        _run(*self.command("router"), "sh", "-c",
             "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding")
