# SPDX-License-Identifier: BSD-3-Clause
"""What tests do with anything that has a network stack: a guest, or the host's own in a
network namespace. Subclasses provide run(), nic and scratch."""
import re
import shlex
from collections import namedtuple

from . import proc

Result = namedtuple('Result', 'status output')


class Machine:
    nic = '?'           # its network device
    scratch = '/tmp'    # a folder of its own
    busybox = 'busybox'

    def run(self, command, timeout=30, check=True):
        raise NotImplementedError

    def background(self, command):
        """Starts a shell command; returns a Job."""
        return Job(self, command)

    def address(self, *addresses, nic=None, mtu=None):
        """Gives a network device addresses and sets it up."""
        nic = nic or self.nic
        steps = [f'ip link set {nic} mtu {mtu}'] if mtu else []
        # Without nodad an IPv6 address is tentative, thus unusable, for seconds.
        steps += [f'ip addr add {a} dev {nic}' + (' nodad' if ':' in a else '')
                  for a in addresses]
        self.run(' && '.join([*steps, f'ip link set {nic} up']))
        return self

    def mac(self):
        return re.search(r'link/ether (\S+)', self.run(f'ip link show {self.nic}').output)[1]


class Job:
    """A command in the background of a machine."""
    count = 0

    def __init__(self, machine, command):
        Job.count += 1
        self.machine = machine
        self.command = command
        self.file = f'{machine.scratch}/job{Job.count}'
        # The status appears under its final name at once, never half written.
        machine.run(f'''( setsid sh -c {shlex.quote(command)} >{self.file} 2>&1 &
            echo $! >{self.file}.pid; wait $!
            echo $? >{self.file}.tmp; mv {self.file}.tmp {self.file}.status
            ) >/dev/null 2>&1 </dev/null &''')

    def status(self):
        r = self.machine.run(f'cat {self.file}.status', check=False)
        return None if r.status else int(r.output)

    def output(self):
        return self.machine.run(f'cat {self.file}').output

    def wait(self, timeout=60, check=True):
        proc.until(lambda: self.status() is not None, timeout,
                   f'{self.machine}: {self.command!r}', 0.1)
        r = Result(self.status(), self.output())
        if check and r.status:
            raise RuntimeError(f'{self.machine}: {self.command!r}: exit {r.status}\n{r.output}')
        return r

    def kill(self):
        """The command and all that it has started."""
        self.machine.run(f'kill -KILL -- -$(cat {self.file}.pid)', check=False)
