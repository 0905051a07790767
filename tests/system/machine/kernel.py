# SPDX-License-Identifier: MIT
"""Sockets as the kernel shows them to ss(8), whoever holds them."""
import re
from collections import namedtuple

from .command import must

Options = namedtuple("Options", "tos receive_buffer send_buffer mark")


def _number(pattern, line):
    match = re.search(pattern, line)
    return int(match.group(1), 0) if match else 0


def socket_options(port):
    """{protocol: Options} of the sockets that listen or are bound there."""
    found = {}
    for protocol in ("tcp", "udp"):
        lines = must("ss", "--no-header", "--numeric", "--listening", "--memory", "--tos", "--extended", "--oneline",
                     f"--{protocol}", f"sport = :{port}").splitlines()
        for line in lines:
            found[protocol] = Options(_number(r"tos:(\w+)", line), _number(r"\brb(\d+)", line),
                                      _number(r"\btb(\d+)", line), _number(r"fwmark:(\w+)", line))
    return found
