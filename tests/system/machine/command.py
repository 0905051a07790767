# SPDX-License-Identifier: MIT
"""Commands, as root or as another user of the machine."""
import json
import subprocess

from harness.waiting import DEADLINE


def run(*command, user=None):
    """To its end: .returncode, .stdout, .stderr. As `user` with all groups of that user."""
    prefix = ["runuser", "-u", user, "--"] if user else []
    return subprocess.run([*prefix, *map(str, command)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          errors="replace", timeout=4 * DEADLINE, cwd="/")


def must(*command, user=None):
    """What it prints; it must succeed."""
    done = run(*command, user=user)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def ctl(*words, user=None):
    return must("sockqctl", *words, user=user)


def ctl_json(*words):
    return json.loads(must("sockqctl", "--json", *words))
