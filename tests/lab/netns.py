# SPDX-License-Identifier: BSD-3-Clause
"""A network namespace of its own, so that no test ever touches the machine's network.

Without root a user namespace comes with it, in which making taps is allowed.
"""
import os
import subprocess

from . import proc


class Netns:
    def __init__(self):
        extra = [] if os.getuid() == 0 else ['--map-root-user']
        # --kill-child: the sleep, and with it the namespace, ends with us.
        self.process = proc.spawn(['unshare', *extra, '--net', '--fork', '--kill-child=KILL',
                                   'sleep', 'infinity'])
        outer = os.readlink('/proc/self/ns/net')
        proc.until(lambda: self._namespace() not in (None, outer), 5, 'network namespace')
        self.run('ip link set lo up')

    def _namespace(self):
        try:
            return os.readlink(f'/proc/{self.process.pid}/ns/net')
        except OSError:
            return None

    @property
    def prefix(self):
        """Put before a command line, this runs it in here."""
        user = [] if os.getuid() == 0 else ['--user', '--preserve-credentials']
        return ['nsenter', '--target', self.process.pid, *user, '--net']

    def run(self, command, timeout=30, check=True):
        """As guest.run, so that a test can treat the host's stack as one more guest."""
        r = subprocess.run([str(a) for a in [*self.prefix, 'sh', '-c', command]],
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, timeout=timeout)
        if check and r.returncode:
            raise RuntimeError(f'{command!r} in the namespace: exit {r.returncode}\n{r.stdout}')
        return r.returncode, r.stdout

    def spawn(self, argv, **kw):
        return proc.spawn([*self.prefix, *argv], **kw)

    def close(self):
        proc.kill(self.process)
