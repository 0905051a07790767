# SPDX-License-Identifier: MIT
"""What a job found: a table of medians with their spread, ratios, and what was to be reached."""
import statistics
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Wanted:
    value: float
    at_least: bool = True

    def __str__(self):
        return f"{'>=' if self.at_least else '<='} {self.value:g}"

    def reached(self, value):
        return value >= self.value if self.at_least else value <= self.value


@dataclass
class Row:
    name: str
    samples: dict = field(default_factory=dict)  # by column: one value a round
    judged: list = field(default_factory=list)   # what is compared with `wanted`: one value a round
    wanted: Wanted = None
    skipped: str = None
    server: str = None  # the class in servers.py

    def add(self, **values):
        for column, value in values.items():
            self.samples.setdefault(column, []).append(value)


@dataclass
class Table:
    job: str
    title: str
    columns: dict  # name: heading
    judged: str    # what the column of judged values is called
    rows: list
    of: str = "SERVER"  # what a row is


def _number(value):
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"


def _with_spread(values):
    middle = statistics.median(values)
    if len(values) == 1 or abs(middle) < 0.1:
        return _number(middle)
    below, above = (100 * abs(value - middle) / abs(middle) for value in (min(values), max(values)))
    return f"{_number(middle)} (-{below:.0f} +{above:.0f} %)"


def _verdict(row):
    if not row.wanted or not row.judged:
        return ""
    return "reached" if row.wanted.reached(statistics.median(row.judged)) else "MISSED"


def _cells(table, row):
    if row.skipped:
        return [row.name, f"skipped: {row.skipped}"]
    return [row.name, *(_with_spread(row.samples[c]) if c in row.samples else "" for c in table.columns),
            _with_spread(row.judged) if row.judged else "", str(row.wanted or ""), _verdict(row)]


def text(tables):
    """All tables, one column layout a table."""
    lines = []
    for table in tables:
        grid = [[table.of, *table.columns.values(), table.judged, "WANTED", ""]] + [_cells(table, r) for r in table.rows]
        widths = [max(len(row[i]) for row in grid if i == 0 or len(row) > 2) for i in range(len(grid[0]))]
        lines += ["", f"{table.job}: {table.title}"]
        lines += ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
                  if len(row) > 2 else f"{row[0].ljust(widths[0])}  {row[1]}" for row in grid]
    return "\n".join(lines[1:])


def _summary(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "rounds": values}


def as_json(tables):
    def row(r):
        if r.skipped:
            return {"name": r.name, "skipped": r.skipped}
        result = {"name": r.name, "columns": {c: _summary(v) for c, v in r.samples.items()}}
        if r.judged:
            result["judged"] = _summary(r.judged)
        if r.wanted:
            result["wanted"] = {"value": r.wanted.value, "at_least": r.wanted.at_least,
                                "reached": r.wanted.reached(statistics.median(r.judged))}
        return result
    return [{"job": t.job, "title": t.title, "judged": t.judged, "rows": [row(r) for r in t.rows]} for t in tables]
