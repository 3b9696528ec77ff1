#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Compares what the public headers declare with what src/libslipring.map exports and, when a
built library is given, with what it defines. Usage: symbols.py [LIBRARY.so]"""
import pathlib
import re
import subprocess
import sys

top = pathlib.Path(__file__).parent.parent


def declared():
    """Function names in include/slipring that are not static inline."""
    names = set()
    for path in (top / "include/slipring").glob("*.h"):
        text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)
        text = re.sub(r"^\s*#.*?(?<!\\)$", "", text, flags=re.M).replace('extern "C" {', "")
        text = re.sub(r"\btypedef\b[^;{]*;", "", text)
        for inline in re.finditer(r"static inline[^;{]*?\b(sr_\w+)\(", text):
            text = text.replace(inline.group(1) + "(", "")
        text = re.sub(r"\{[^{}]*\}", "", re.sub(r"\{[^{}]*\}", "", text))
        names |= set(re.findall(r"\b(sr_\w+)\s*\(", text))
    return names


def mapped():
    text = re.sub(r"/\*.*?\*/", "", (top / "src/libslipring.map").read_text(), flags=re.S)
    return set(re.findall(r"\b(sr_\w+);", text))


def defined(library):
    out = subprocess.run(["nm", "-D", "--defined-only", "--with-symbol-versions", library],
                         check=True, capture_output=True, text=True).stdout
    return {line.split()[2] for line in out.splitlines() if line.split()[1] in "TD"}


bad = []
bad += [f"{n}: declared in a public header, not in src/libslipring.map" for n in declared() - mapped()]
bad += [f"{n}: in src/libslipring.map, declared in no public header" for n in mapped() - declared()]
if len(sys.argv) > 1:
    have = defined(sys.argv[1])
    bad += [f"{n}: exported by the map, not defined with a version in {sys.argv[1]}"
            for n in mapped() if not any(s.startswith(n + "@@SLIPRING_") for s in have)]
    bad += [f"{s}: defined in {sys.argv[1]}, not meant to be public"
            for s in have if s.split("@")[0] not in mapped() and not s.startswith("SLIPRING_")]
print("\n".join(sorted(bad)) or f"symbols: {len(mapped())} functions, all declared, mapped and defined")
sys.exit(1 if bad else 0)
