# SPDX-License-Identifier: MIT
"""libconfig text from dicts."""


def _value(value):
    if isinstance(value, dict):
        return "{ " + " ".join(f"{key} = {_value(item)};" for key, item in value.items()) + " }"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, (list, tuple)):
        return "[ " + ", ".join(_value(item) for item in value) + " ]"
    text = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{text}"'


def render(tree):
    """One line an entry of each group, so that a fault's line number says which."""
    lines = []
    for group, entries in tree.items():
        lines.append(f"{group} = {{")
        lines += [f"  {key} = {_value(value)};" for key, value in entries.items()]
        lines.append("};")
    return "\n".join(lines) + "\n"


def one_listener(target="ack", name="orders", profile=None, **keys):
    """The tree of a single listener; `profile`: settings of a profile "base" that it uses."""
    tree = {}
    if profile is not None:
        tree["profiles"] = {"base": profile}
        keys = {"profile": "base", **keys}
    tree["listeners"] = {name: {"target": target, **keys}}
    return tree
