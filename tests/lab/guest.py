# SPDX-License-Identifier: BSD-3-Clause
"""What all guests have in common: they boot, run commands, and die on demand."""
import base64
import os
import select
import signal
import socket
import time

from . import proc
from .disk import Disk
from .machine import Machine, Result


class GuestError(RuntimeError):
    pass


class Channel:
    """The host's end of the guest's agent; tests/guest/init describes the protocol."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = b''
        self.next_id = 0

    def _more(self, end):
        left = end - time.monotonic()
        if left <= 0 or not select.select([self.sock], [], [], left)[0]:
            raise TimeoutError
        data = self.sock.recv(65536)
        if not data:
            raise EOFError
        self.buffer += data

    def line(self, end):
        while b'\n' not in self.buffer:
            self._more(end)
        line, self.buffer = self.buffer.split(b'\n', 1)
        return line.decode(errors='replace').rstrip('\r')

    def exactly(self, size, end):
        while len(self.buffer) < size:
            self._more(end)
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def wait_ready(self, end):
        while True:
            word = self.line(end).split()
            if word[:1] == ['sr-ready']:
                return float(word[1])

    def call(self, command, timeout):
        """A late answer of an earlier call that timed out is passed over."""
        self.next_id += 1
        text = base64.b64encode(command.encode()).decode()
        self.sock.sendall(f'{self.next_id} {timeout} {text}\n'.encode())
        end = time.monotonic() + timeout + 10
        while True:
            word = self.line(end).split()
            if word[:1] != ['sr-reply']:
                continue
            output = self.exactly(int(word[3]), end)
            if int(word[1]) == self.next_id:
                return Result(int(word[2]), output.decode(errors='replace'))


class Guest(Machine):
    """Subclasses provide kind, command_line(agent_fd, shell_fd) and may extend prepare().

    devices is a list of Nic and Disk: how each reaches its back-end.
    """
    kind = '?'
    nic = 'eth0'
    boot_timeout = 60

    def __init__(self, name, devices, workdir, *, shell=False):
        self.name = name
        self.devices = devices
        self.workdir = workdir
        self.console = os.path.join(workdir, f'{name}.console')
        self.want_shell = shell
        self.process = self.channel = self.boot_seconds = None
        self._fds = []

    def __repr__(self):
        return f'<{self.kind} guest {self.name}>'

    def has_disks(self):
        return any(isinstance(d, Disk) for d in self.devices)

    # Life

    def start(self):
        """Starts booting and returns at once, so that several guests boot side by side."""
        self.kill()
        ours, theirs = socket.socketpair()
        self.channel = Channel(ours)
        fds = [theirs.fileno()]
        if self.want_shell:
            # The guest holds the master. We keep the slave open: else the guest would see
            # a hang-up whenever no person is attached.
            master, slave = os.openpty()
            self.shell_path = os.ttyname(slave)
            self._fds = [slave]
            fds.append(master)
        self.began = time.monotonic()
        try:
            self.process = self.launch(*fds)
        finally:
            theirs.close()
            for fd in fds[1:]:
                os.close(fd)
        return self

    def wait(self):
        """Until the guest's user space answers; boot_seconds then says how long that took."""
        try:
            self.channel.wait_ready(self.began + self.boot_timeout)
        except (TimeoutError, EOFError, OSError) as e:
            raise self._error('did not boot', e)
        self.boot_seconds = time.monotonic() - self.began
        return self

    def boot(self):
        return self.start().wait()

    def kill(self):
        """As kill -9, or pulling the plug."""
        if self.process:
            proc.kill(self.process)
        if self.channel:
            self.channel.sock.close()
        for fd in self._fds:
            os.close(fd)
        self.process = self.channel = None
        self._fds = []

    def _vmm(self):
        """The guest's own process, below the ones that hold its namespaces. Those below it
        again (UML's user space) it traces, and they must not be signalled by others."""
        return proc.children(self.process.pid)[0]

    def freeze(self):
        """Stops the guest as a whole, its memory stays; thaw() lets it go on."""
        os.kill(self._vmm(), signal.SIGSTOP)

    def thaw(self):
        os.kill(self._vmm(), signal.SIGCONT)

    def reboot(self):
        """The guest's own reboot: the front-end starts anew, nobody pulls a plug."""
        self.began = time.monotonic()
        self.run('(sleep 0.2; busybox reboot -f) >/dev/null 2>&1 &')
        return self.wait()

    # Commands

    def run(self, command, timeout=30, check=True):
        """Runs a shell command in the guest. Returns (status, output); with check, a status
        other than 0 raises."""
        try:
            r = self.channel.call(command, timeout)
        except (TimeoutError, EOFError, OSError) as e:
            raise self._error(f'no answer to {command!r}', e)
        if check and r.status:
            raise GuestError(f'{self}: {command!r}: exit {r.status}\n{r.output}')
        return r

    def _error(self, what, cause):
        dead = ''
        if self.process and self.process.poll() is not None:
            dead = f' (its process ended with {self.process.returncode})'
        return GuestError(f'{self} {what}{dead}: {type(cause).__name__}\n'
                          f'--- end of {self.console}:\n{proc.tail(self.console)}')
