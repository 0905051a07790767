# SPDX-License-Identifier: MIT
"""The journal, asked with journalctl."""
import json
import time

from harness.kinds import KINDS
from harness.waiting import eventually

from .command import must


class Journal:
    """What was written since this was made."""

    def __init__(self):
        self._since = time.time()

    def text(self, *words):
        must("journalctl", "--sync")
        # No cursor: with matches, journalctl 252 leaves out the first entry after it.
        return must("journalctl", "--quiet", "--no-pager", f"--since=@{self._since:.6f}", *words)

    def entries(self, *words, **fields):
        """As dicts; what is no text is a list of numbers. words: options and matches of journalctl."""
        matches = [f"{name}={value}" for name, value in fields.items()]
        return [json.loads(line) for line in self.text("--output=json", "--all", *words, *matches).splitlines()]

    def wait(self, condition=lambda entry: True, **fields):
        """The first entry with these fields that fulfils the condition."""
        return eventually(lambda: next(filter(condition, self.entries(**fields)), None),
                          lambda: f"an entry {fields}; the journal:\n" + self.text())

    def kind(self, kind, **fields):
        """Entries of one kind of event, by its name in kinds.h. The daemon writes them a moment later."""
        return self.entries(MESSAGE_ID=KINDS[kind], SYSLOG_IDENTIFIER="sockqd", **fields)

    def wait_kind(self, kind, **fields):
        return self.wait(MESSAGE_ID=KINDS[kind], SYSLOG_IDENTIFIER="sockqd", **fields)
