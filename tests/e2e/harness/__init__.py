# SPDX-License-Identifier: MIT
"""What the end-to-end tests stand on: the daemon started as systemd starts it, clients, the wire seen from outside."""
