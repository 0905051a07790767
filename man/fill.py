#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Fills the parts of a man page that the code knows better. The page has one line @SETTINGS@ or @INTERFACE@.

    fill.py settings TEMPLATE OUTPUT SOCKQCTL         the settings table, as `sockqctl help settings --json` tells it
    fill.py interface TEMPLATE OUTPUT FILE.varlink    a Varlink interface, word for word
"""
import json
import subprocess
import sys
from pathlib import Path

CARRIERS = {
    "listening": "listening TCP sockets",
    "stream": "TCP connections",
    "datagram": "UDP sockets",
    "packet": "each datagram",
    "daemon": "the daemon itself",
}
LIVE = {
    "yes": "yes",
    "within limits": "within limits, see below",
    "new flows": "no, holds for new flows",
}


def escaped(text):
    text = text.replace("\\", "\\e")
    return "\\&" + text if text[:1] in (".", "'") else text


def row(name, text):
    return [f".It {name}", text if text.startswith(".") else escaped(text)]


def setting(s):
    lines = [f".It Cm {s['setting']}", escaped(s["help"][0].upper() + s["help"][1:] + "."),
             '.Bl -tag -width "default" -compact']
    lines += row("values", f".Li {s['syntax']}" + (" , inherit" if s["inherit"] else ""))
    lines += row("default", f".Li {s['default']}")
    lines += row("live", LIVE[s["live"]])
    lines += row("acts on", ", ".join(CARRIERS[c] for c in s["carriers"]))
    if "capability" in s:
        lines += row("needs", s["capability"])
        lines += [f"({s['capability_when']})"] if "capability_when" in s else []
    if not s["restorable"]:
        lines += row("undo", "may need the capability as well")
    if s["both_legs"]:
        lines += row("legs", "each has its own")
    if "alias_of" in s:
        lines += row("same as", f".Cm {s['alias_of']}")
    return lines + [".El"]


def settings(sockqctl):
    told = subprocess.run([sockqctl, "help", "settings", "--json"], check=True, capture_output=True, text=True).stdout
    return [line for s in json.loads(told)["settings"] for line in setting(s)]


def interface(path):
    lines = [escaped(line).replace("`", "\\(ga") for line in Path(path).read_text().splitlines()]
    return [".Bd -literal", *lines, ".Ed"]


def main(kind, template, output, source):
    mark, text = f"@{kind.upper()}@\n", Path(template).read_text()
    if text.count(mark) != 1:
        sys.exit(f"{template}: the line {mark.strip()} must stand there once")
    lines = {"settings": settings, "interface": interface}[kind](source)
    Path(output).write_text(text.replace(mark, "\n".join(lines) + "\n"))


main(*sys.argv[1:])
