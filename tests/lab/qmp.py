# SPDX-License-Identifier: BSD-3-Clause
"""QEMU's own monitor: JSON, a line each."""
import json
import socket


class QmpError(RuntimeError):
    pass


class Qmp:
    """One client; QEMU serves one at a time."""

    def __init__(self, path, timeout=60):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(timeout)
        self.sock.connect(path)
        self.lines = self.sock.makefile('rb')
        self.lines.readline()  # who it is
        self.execute('qmp_capabilities')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lines.close()
        self.sock.close()

    def execute(self, command, **arguments):
        """Waits for the answer, past the events; `_` in names stands for `-`."""
        words = {k.replace('_', '-'): v for k, v in arguments.items()}
        self.sock.sendall(json.dumps({'execute': command, 'arguments': words}).encode())
        while True:
            line = self.lines.readline()
            if not line:
                raise QmpError(f'{command}: the monitor is gone')
            answer = json.loads(line)
            if 'error' in answer:
                raise QmpError(f'{command}: {answer["error"]["desc"]}')
            if 'return' in answer:
                return answer['return']
