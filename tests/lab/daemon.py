# SPDX-License-Identifier: BSD-3-Clause
"""A slipring process under test, whatever it serves."""
import json
import os
import subprocess

from . import proc


class Daemon:
    """Any slipring process with a control socket."""

    def __init__(self, binary, workdir, name, prefix=()):
        self.binary = str(binary)
        self.control = os.path.join(workdir, f'{name}.ctl')
        self.log = os.path.join(workdir, f'{name}.log')
        self.prefix = list(prefix)
        self.process = None

    def spawn(self, words):
        self.process = proc.spawn([*self.prefix, self.binary, *words], log=self.log)
        proc.until(self._answers, 10, f'slipring {words[0]} answers')

    def _answers(self):
        if self.process.poll() is not None:
            raise RuntimeError(f'slipring ended with {self.process.returncode}\n'
                               + proc.tail(self.log))
        return self._ctl('version').returncode == 0

    @property
    def pid(self):
        return self.process.pid

    def _ctl(self, *words):
        return subprocess.run([self.binary, 'ctl', '--socket', self.control, '--json', *words],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=20)

    def ctl(self, *words):
        r = self._ctl(*words)
        if r.returncode:
            raise RuntimeError(f'slipring ctl {words}: exit {r.returncode}\n{r.stderr}')
        return json.loads(r.stdout) if r.stdout.strip() else None

    def stop(self):
        """Ends the daemon as an operator would; returns its exit status."""
        status = proc.terminate(self.process)
        self.process = None
        return status

    def kill(self):
        proc.kill(self.process)
        self.process = None

    def close(self):
        if self.process:
            self.stop()

    # What it costs

    def cpu_ticks(self):
        """User and system time so far, in clock ticks."""
        with open(f'/proc/{self.pid}/stat') as f:
            fields = f.read().rpartition(')')[2].split()
        return int(fields[11]) + int(fields[12])

    def memory_kib(self):
        """{'VmRSS': ..., 'RssAnon': ..., ...}"""
        with open(f'/proc/{self.pid}/status') as f:
            words = [line.split() for line in f if 'kB' in line]
        return {w[0].rstrip(':'): int(w[1]) for w in words}

    def open_files(self):
        return len(os.listdir(f'/proc/{self.pid}/fd'))
