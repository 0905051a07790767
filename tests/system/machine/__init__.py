# SPDX-License-Identifier: MIT
"""The machine that the tests run on, as its administrator uses it."""
