# SPDX-License-Identifier: BSD-3-Clause
"""A network namespace of its own, so that no test ever touches the machine's network.

Without root a user namespace comes with it, in which making taps is allowed. A PID
namespace makes sure that servers which put themselves into the background end with it.
"""
import os
import subprocess

from . import proc, root
from .machine import Machine, Result


class Netns(Machine):
    """The host's own network stack, with the interface of a guest."""
    kind = 'tap'

    def __init__(self, workdir, nic='t0'):
        self.scratch = workdir
        self.nic = nic
        self.busybox = root.path() / 'usr/bin/busybox'  # a static program
        extra = [] if os.getuid() == 0 else ['--map-root-user']
        self.process = proc.spawn(['unshare', *extra, '--net', '--pid', '--fork',
                                   '--kill-child=KILL', 'sleep', 'infinity'])
        outer = os.readlink('/proc/self/ns/pid')
        proc.until(lambda: self._pid_namespace() not in (None, outer), 5, 'namespaces')
        self.run('ip link set lo up')

    def _pid_namespace(self):
        try:
            return os.readlink(f'/proc/{self.process.pid}/ns/pid_for_children')
        except OSError:
            return None

    def _enter(self, *more):
        user = [] if os.getuid() == 0 else ['--user', '--preserve-credentials']
        return ['nsenter', '--target', str(self.process.pid), *user, '--net', *more]

    @property
    def prefix(self):
        """Before a command line, this runs it in the network namespace; its process stays
        an ordinary child, to be watched and signalled."""
        return self._enter()

    def run(self, command, timeout=30, check=True):
        pid = f'--pid=/proc/{self.process.pid}/ns/pid_for_children'
        r = subprocess.run([*self._enter(pid), 'sh', '-c', command], stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                           timeout=timeout)
        if check and r.returncode:
            raise RuntimeError(f'{command!r} in the namespace: exit {r.returncode}\n{r.stdout}')
        return Result(r.returncode, r.stdout)

    def kill(self):
        proc.kill(self.process)
