#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Holds every #include line of the project against the table of walls in docs/design.md.

A room is a folder under src/. Prints a line for each forbidden include and exits 1.
Usage: walls.py [TREE]
"""
import pathlib
import re
import sys

tree = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent)

# room -> rooms and contracts whose headers it may include; "device" and "port" here are the
# contracts (device.h, port.h), never the rooms behind them.
MAY = {
    "base": set(),
    "loop": {"base"},
    "mem": {"base"},
    "ring": {"base", "mem"},
    "disk": {"base", "loop", "contract disk"},
    "scsi": {"base", "loop", "contract disk"},
    "device": {"base", "loop", "mem", "ring", "contract device", "contract port", "contract disk", "scsi"},
    "driver": {"base", "mem", "ring"},
    "transport": {"base", "loop", "mem", "ring", "contract device"},
    "switch": {"base", "contract port"},
    "port": {"base", "loop", "contract port"},
    "contract device": {"base", "mem", "ring"},
    "contract port": {"base"},
    "contract disk": {"base", "loop"},
}
FREE = {"daemon", "cli"}  # they assemble the others

# public header -> the room that it belongs to
PUBLIC = {
    "error": "base", "log": "base", "virtio": "base", "loop": "loop", "mem": "mem",
    "disk": "contract disk", "disk_engine": "contract disk", "scsi_unit": "scsi",
    "blk": "device/blk", "scsi": "device/scsi",
    "vq": "ring", "drvq": "ring", "device": "contract device", "port": "contract port",
    "net": "device/net", "tap": "port/tap", "switch": "switch",
    "vhost_user": "transport/vhost_user",
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def group(room):
    """The row of MAY for a room: device/net is judged as device."""
    return room if room.startswith("contract") else room.split("/")[0]


def room_of(path):
    return "/".join(path.relative_to(tree / "src").parts[:-1])


def allowed(room, target):
    if room == target or group(room) in FREE:
        return True
    if target.startswith("contract") or "/" not in target:
        return target in MAY[group(room)]
    return False  # another device, driver, transport or port


def problems():
    files = sorted((tree / "src").rglob("*.[ch]"))
    homes = {}
    for path in files:
        if path.suffix == ".h":
            if path.name in homes:
                yield f"{path.relative_to(tree)}: a second header of this name; includes are by name only"
            homes[path.name] = room_of(path)
    public = sorted((tree / "include/slipring").glob("*.h"))
    for path in public:
        if path.stem not in PUBLIC:
            yield f"{path.relative_to(tree)}: belongs to no room; add it to PUBLIC in tests/walls.py"
    for path in public + [p for p in files if not p.name.endswith("_test.c")]:
        room = PUBLIC.get(path.stem, "base") if path in public else room_of(path)
        if group(room) not in MAY and group(room) not in FREE:
            yield f"{path.relative_to(tree)}: room '{room}' has no row in the table of walls"
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            kind, name = match.groups()
            where = f"{path.relative_to(tree)}:{number}"
            if name.startswith("slipring/"):
                target = PUBLIC.get(name[len("slipring/"):-2])
                if target is None:
                    yield f"{where}: no public header {name}"
                    continue
            elif kind == '"':
                target = homes.get(name)
                if target is None:
                    yield f"{where}: no header {name} in any room"
                    continue
            else:
                continue
            if not allowed(room, target):
                yield f"{where}: {room} may not know {target} ({name})"


if __name__ == "__main__":
    found = list(problems())
    for line in found:
        print(line)
    print(f"walls: {len(found)} forbidden includes")
    sys.exit(1 if found else 0)
