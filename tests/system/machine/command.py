# SPDX-License-Identifier: MIT
"""Commands, as root or as another user of the machine."""
import json
import subprocess
import threading

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


class Background:
    def __init__(self, *command):
        self.lines = []
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, cwd="/")
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            self.lines.append(line)

    def close(self):
        self._process.terminate()
        self._process.wait()
        self._reader.join()


def ctl(*words, user=None):
    return must("sockqctl", *words, user=user)


def ctl_json(*words):
    return json.loads(must("sockqctl", "--json", *words))
