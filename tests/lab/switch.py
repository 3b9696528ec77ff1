# SPDX-License-Identifier: BSD-3-Clause
"""`slipring switch` under test."""
from . import proc
from .daemon import Daemon


class Switch(Daemon):
    """ports are texts as after --port; `inside` is a Netns to run in (for taps)."""

    def __init__(self, binary, workdir, ports, *options, inside=None):
        super().__init__(binary, workdir, 'slipring', inside.prefix if inside else ())
        self.ports_wanted = list(ports)
        self.options = options

    def start(self):
        words = ['switch', '--control', self.control, *self.options]
        for p in self.ports_wanted:
            words += ['--port', p]
        self.spawn(words)
        return self

    def ports(self):
        return {p['name']: p for p in self.ctl('ports')}

    def port(self, name):
        return self.ctl('port', name)

    def counter(self, port, name):
        return self.ports()[port]['counters'][name]

    def wait_state(self, port, state, timeout=10):
        proc.until(lambda: self.ports()[port]['state'] == state, timeout,
                   f'port {port} is {state}', 0.1)
