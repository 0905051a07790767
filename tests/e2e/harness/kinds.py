# SPDX-License-Identifier: MIT
"""MESSAGE_ID of every kind of event, as the daemon's table has them."""
import re

from .daemon import ROOT

KINDS = dict(re.findall(r"X\((\w+), LOG_\w+, \"([0-9a-f]{32})\"", (ROOT / "daemon/event/kinds.h").read_text()))
