# SPDX-License-Identifier: BSD-3-Clause
"""Functional tests: real guests, the host's stack and real peers through the real switch.

    SLIPRING=BUILD/src/cli/slipring /usr/bin/python3 -m pytest tests/functional

Without SLIPRING the one in build/ is taken. `-m "not long"` leaves out the tests that move
a lot of data. What a failed test's daemon and guests said is shown below its error.
"""
import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT / 'tests'))

from lab import proc, root  # noqa: E402
from lab.disk import Disk  # noqa: E402
from lab.netns import Netns  # noqa: E402
from lab.nic import Nic  # noqa: E402
from lab.qemu import Qemu, QemuDebian12  # noqa: E402
from lab.storage import Store  # noqa: E402
from lab.switch import Switch  # noqa: E402
from lab.uml import Uml  # noqa: E402

KINDS = {'UML': Uml, 'QEMU': Qemu, 'QEMU 7.2': QemuDebian12}


def pytest_configure(config):
    config.addinivalue_line('markers', 'long: moves much data or waits long')


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    if report.failed:
        for world in getattr(item, 'worlds', []):
            for log in sorted(Path(world.dir).glob('*.log')) + sorted(
                    Path(world.dir).glob('*.console')):
                report.sections.append((f'end of {log.name}', proc.tail(log, 25)))


@pytest.fixture(scope='session')
def binary():
    path = Path(os.environ.get('SLIPRING', CHECKOUT / 'build/src/cli/slipring')).absolute()
    if not path.exists():
        pytest.fail(f'{path} is not there: build it, or name it in SLIPRING', pytrace=False)
    return path


@pytest.fixture(scope='session')
def lab():
    path = root.path()
    if not path:
        pytest.skip('the lab is not there: scripts/lab makes it (once, as root)')
    return path


class World:
    """A switch with what hangs on it, in a folder with a short name: a socket's path must
    fit 108 bytes."""

    def __init__(self, binary):
        self.binary = binary
        self.dir = tempfile.mkdtemp(prefix='sr-', dir='/tmp')
        self.guests = []
        self.netns = self.switch = None
        self.stores = []
        self.disk_socket = self.socket('disk')

    def socket(self, name):
        return f'{self.dir}/{name}.sock'

    def mac(self, name):
        return '52:54:00:%02x:%02x:%02x' % tuple(hashlib.sha256(name.encode()).digest()[:3])

    def port(self, name, mode='server', **more):
        """The text of a vhost-user port. Its guest gets an address that depends on the name
        alone: else neighbours would talk to the old one for seconds after a reboot."""
        more.setdefault('mac', self.mac(name))
        keys = ''.join(f',{k}={v}' for k, v in more.items())
        return f'vhost-user,name={name},socket={self.socket(name)},mode={mode}{keys}'

    def start(self, *ports, options=()):
        """Ports are names of vhost-user ports, or whole texts as after --port."""
        texts = [p if ',' in p else self.port(p) for p in ports]
        if any(t.startswith('tap,') for t in texts):
            if not os.access('/dev/net/tun', os.R_OK | os.W_OK):
                pytest.skip('this user may not open /dev/net/tun')
            self.netns = Netns(self.dir)
        self.switch = Switch(self.binary, self.dir, texts, *options, inside=self.netns).start()
        return self.switch

    def guest(self, kind, name, **nic):
        """A guest that is not yet booted, on port `name`."""
        g = KINDS[kind](name, [Nic(self.socket(name), mac=self.mac(name), **nic)], self.dir)
        self.guests.append(g)
        return g

    # Disks

    def store(self, command, *words, sockets=None):
        """A daemon that serves disks: `slipring blk`, listening on disk_socket, or another."""
        if command in ('blk', 'scsi'):
            words = (f'--socket-path={self.disk_socket}', *words)
        s = Store(self.binary, self.dir, sockets or [self.disk_socket], command, *words)
        self.stores.append(s)
        return s.start()

    def disk_guest(self, kind, name='a', socket=None, **disk):
        """A booted guest with one disk."""
        return self.new_guest(kind, name, Disk(socket or self.disk_socket, **disk)).boot()

    def new_guest(self, kind, name, *devices):
        """A guest that is not yet booted, with these devices."""
        g = KINDS[kind](name, list(devices), self.dir)
        self.guests.append(g)
        return g

    def lab_run(self, *words, timeout=120):
        return root.run(words, timeout=timeout)

    def boot(self, *guests):
        for g in guests:
            g.start()
        for g in guests:
            g.wait()
        return guests

    def umls(self, names):
        """Booted UML guests with addresses 10.0.0.1, .2, ... in the order of names."""
        guests = self.boot(*[self.guest('UML', n) for n in names])
        for i, g in enumerate(guests, 1):
            g.address(f'10.0.0.{i}/24')
        return guests

    def close(self):
        for g in self.guests:
            g.kill()
        for s in self.stores:
            s.close()
        if self.switch:
            self.switch.close()
        if self.netns:
            self.netns.kill()
        shutil.rmtree(self.dir, ignore_errors=True)


@pytest.fixture
def world(request, binary, lab):
    w = World(binary)
    request.node.worlds = [w]
    yield w
    w.close()


@pytest.fixture(scope='module')
def module_world(binary, lab):
    w = World(binary)
    yield w
    w.close()
