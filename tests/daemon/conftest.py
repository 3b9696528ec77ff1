# SPDX-License-Identifier: BSD-3-Clause
"""Runs the binary that $SLIPRING names, without guests. Started with
SLIPRING=build/src/cli/slipring /usr/bin/python3 -m pytest tests/daemon"""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest

BINARY = os.environ.get("SLIPRING") or pytest.exit("SLIPRING must name the slipring binary", 2)
BINARY = str(pathlib.Path(BINARY).resolve())
PATIENCE_S = 30  # for things that take milliseconds


def until(happened, what):
    deadline = time.monotonic() + PATIENCE_S
    while not (result := happened()):
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.01)
    return result


def run(*args, **kwargs):
    return subprocess.run([BINARY, *map(str, args)], stdin=subprocess.DEVNULL, text=True,
                          capture_output=True, timeout=PATIENCE_S, **kwargs)


class Daemon:
    """A running daemon; `place` is its folder of sockets."""

    def __init__(self, place, *args, control=True):
        self.place = place
        self.control = place / "control.sock"
        self.log_path = place / "log"
        options = ["--control", self.control] if control else []
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([BINARY, *map(str, args), *map(str, options)],
                                            stdin=subprocess.DEVNULL, stderr=log)

    def log(self):
        return self.log_path.read_text()

    def logs(self, text):
        until(lambda: text in self.log() or self.process.poll() is not None, f"{text!r} in log")
        assert text in self.log(), self.log()

    def ctl(self, *args):
        return run("ctl", "--socket", self.control, *args)

    def json(self, *args):
        answer = self.ctl("--json", *args)
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout)

    def port(self, name):
        return self.json("port", name)

    def has_state(self, name, state):
        until(lambda: self.port(name)["state"] == state, f"port {name} {state}")

    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(PATIENCE_S)
        s.connect(str(self.control))
        return s

    def send(self, number):
        self.process.send_signal(number)

    def end(self, number=signal.SIGTERM):
        self.send(number)
        return self.process.wait(PATIENCE_S)


@pytest.fixture
def place():
    """A folder with a path short enough for unix sockets."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="slipring-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def start(place):
    """Starts daemons and ends them after the test."""
    daemons = []

    def starter(*args, wait="control: listening", **kwargs):
        d = Daemon(place, *args, **kwargs)
        daemons.append(d)
        if wait:
            d.logs(wait)
        return d

    yield starter
    for d in daemons:
        if d.process.poll() is None:
            d.process.kill()
            d.process.wait()


@pytest.fixture
def switch(start, place):
    """A switch with the two ports a and b."""
    d = start("switch", "--port", f"vhost-user,name=a,socket={place}/a.sock",
              "--port", f"vhost-user,name=b,socket={place}/b.sock",
              wait=f"b: listening on {place}/b.sock")
    return d
