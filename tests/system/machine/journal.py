# SPDX-License-Identifier: MIT
"""The journal, asked with journalctl."""
import json
import re

from harness.kinds import KINDS
from harness.waiting import eventually

from .command import must


class Journal:
    """What was written since this was made."""

    def __init__(self):
        must("journalctl", "--sync")
        shown = must("journalctl", "--quiet", "--lines=0", "--show-cursor")
        self._cursor = re.search(r"-- cursor: (\S+)", shown).group(1)

    def text(self, *words):
        must("journalctl", "--sync")
        return must("journalctl", "--quiet", "--no-pager", f"--after-cursor={self._cursor}", *words)

    def entries(self, *words, **fields):
        """As dicts; what is no text is a list of numbers. words: options and matches of journalctl."""
        matches = [f"{name}={value}" for name, value in fields.items()]
        return [json.loads(line) for line in self.text("--output=json", "--all", *words, *matches).splitlines()]

    def kind(self, kind, **fields):
        """Entries of one kind of event, by its name in kinds.h."""
        return self.entries(MESSAGE_ID=KINDS[kind], SYSLOG_IDENTIFIER="sockqd", **fields)

    def wait_kind(self, kind, **fields):
        """The first such entry."""
        return eventually(lambda: self.kind(kind, **fields),
                          lambda: f"an entry {kind} {fields}; the journal:\n" + self.text())[0]
