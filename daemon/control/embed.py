#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""embed.py OUTPUT INPUT...: makes a C table of interface descriptions, by file name without suffix."""
import pathlib
import sys


def literal(line):
    return '"' + line.replace('\\', '\\\\').replace('"', '\\"') + '\\n"'


def main(output, *inputs):
    rows = []
    for path in map(pathlib.Path, inputs):
        lines = path.read_text(encoding='ascii').splitlines()
        rows.append('    { "%s",\n      %s },\n' % (path.stem, '\n      '.join(map(literal, lines))))
    pathlib.Path(output).write_text(
        '/* SPDX-License-Identifier: MIT */\n'
        '#include "interfaces.h"\n\n'
        'const struct interface interfaces[] = {\n%s    { NULL, NULL },\n};\n' % ''.join(rows))


main(*sys.argv[1:])
