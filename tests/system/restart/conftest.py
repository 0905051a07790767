# SPDX-License-Identifier: MIT
from machine.strict import nothing_is_filtered, strict  # noqa: F401
