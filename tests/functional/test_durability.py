# SPDX-License-Identifier: BSD-3-Clause
"""What the guest was told to be safe is safe: a flush, or a write in write-through mode, ends only
after the medium has said so. The medium is an NBD server that tells when it is asked and
answers when we let it; to reach the file engine it is shown as a file by FUSE."""
import os
import shutil
import subprocess
import time

import pytest
from lab import proc
from lab.storage import file_of

# sh, with the method's arguments: 3 count or bytes, 4 offset, 5 flags
SERVER = {
    'get_size': 'echo 67108864',
    'can_write': 'exit 0',
    'can_flush': 'exit 0',
    'can_fua': 'echo native',
    'pread': 'dd if={dir}/img skip=$4 count=$3 iflag=skip_bytes,count_bytes status=none',
    'pwrite': 'dd of={dir}/img seek=$4 conv=notrunc oflag=seek_bytes status=none; '
              'case $5 in *fua*) {sync};; esac; '
              'while [ -e {dir}/hold-writes ]; do echo >> {dir}/held; sleep 0.05; done',
    'flush': '{sync}',
}
SYNC = ('echo >> {dir}/asked; while [ -e {dir}/hold ]; do sleep 0.05; done; '
        'if [ -e {dir}/fail ]; then echo EIO >&2; exit 1; fi')


class Medium:
    """Syncs are counted by asked(), and wait while held."""

    def __init__(self, folder):
        self.dir = folder
        file_of(f'{folder}/img', 64)
        self.socket = f'{folder}/nbd.sock'
        words = [f'{k}={v.format(dir=folder, sync=SYNC.format(dir=folder))}'
                 for k, v in SERVER.items()]
        self.processes = [proc.spawn(['nbdkit', '-f', '-U', self.socket, 'eval', *words],
                                     log=f'{folder}/nbdkit.log')]
        proc.until(lambda: os.path.exists(self.socket), 10, 'nbdkit listens')

    def as_file(self):
        """A path whose fsync is the server's flush."""
        if not shutil.which('qemu-storage-daemon') or not os.access('/dev/fuse', os.W_OK):
            pytest.skip('takes qemu-storage-daemon and /dev/fuse')
        path = file_of(f'{self.dir}/file', 0)
        self.processes.append(proc.spawn(
            ['qemu-storage-daemon', '--blockdev',
             f'driver=nbd,node-name=n,server.type=unix,server.path={self.socket}', '--export',
             f'type=fuse,id=e,node-name=n,mountpoint={path},writable=on'],
            log=f'{self.dir}/fuse.log'))
        proc.until(lambda: os.path.getsize(path) == 64 << 20, 10, 'the file is shown')
        return path

    def asked(self, what='asked'):
        try:
            return os.path.getsize(f'{self.dir}/{what}')
        except FileNotFoundError:
            return 0

    def set(self, name, on):
        if on:
            open(f'{self.dir}/{name}', 'w').close()
        else:
            os.unlink(f'{self.dir}/{name}')

    def is_set(self, name):
        return os.path.exists(f'{self.dir}/{name}')

    def close(self):
        """FUSE's server goes first: it unmounts."""
        for p in reversed(self.processes):
            proc.terminate(p)


@pytest.fixture
def medium(world):
    m = Medium(world.dir)
    yield m
    for s in world.stores:  # they use the medium, which would wait for them
        s.kill()
        s.process = None
    m.close()


@pytest.fixture
def disk(request, medium):
    if request.param == 'nbd':
        return f'--disk=nbd,name=d,uri=nbd+unix:///?socket={medium.socket}'
    return f'--disk=file,name=d,path={medium.as_file()}'


def ends_only_after_sync(guest, medium, command):
    medium.set('hold', True)
    before = medium.asked()
    job = guest.background(command)
    proc.until(lambda: medium.asked() > before, 20, 'the medium is asked')
    time.sleep(0.5)  # for a daemon that does not wait
    held = job.status()
    medium.set('hold', False)
    job.wait(20)
    assert held is None, 'ended although the medium had not answered'


WRITE = 'dd if=/dev/urandom of=/dev/vda bs=4k count=1 oflag=direct'


@pytest.mark.parametrize('disk', ['file', 'nbd'], indirect=True)
def test_a_flush_ends_after_that_of_the_medium(world, medium, disk):
    world.store('blk', disk)
    g = world.disk_guest('UML')
    before = medium.asked()
    g.run(WRITE)
    assert medium.asked() == before, 'a write alone does not wait for the medium'
    ends_only_after_sync(g, medium, f'{WRITE} conv=fsync')
    medium.set('fail', True)
    assert g.run(f'{WRITE} conv=fsync', check=False).status, 'a failed flush is told'


@pytest.mark.parametrize('disk', ['file', 'nbd'], indirect=True)
def test_a_write_through_ends_after_a_sync_of_the_medium(world, medium, disk):
    world.store('blk', disk, '--cache=writethrough')
    g = world.disk_guest('UML')
    ends_only_after_sync(g, medium, WRITE)
    medium.set('fail', True)
    assert g.run(WRITE, check=False).status, 'a failed write is told'


@pytest.fixture
def loop_device(medium):
    """Unlike a file's, its requests outlive the process that has made them."""
    if os.getuid() != 0:
        pytest.skip('takes a loop device, so root')
    r = subprocess.run(['losetup', '-f', '--show', '--direct-io=on', medium.as_file()],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if r.returncode:
        pytest.skip(f'no loop device: {r.stdout}')
    yield r.stdout.strip()
    subprocess.run(['losetup', '-d', r.stdout.strip()], check=True)


def test_no_write_of_a_killed_daemon_comes_after_those_of_the_next(world, medium, loop_device):
    store = world.store('blk', f'--disk=file,name=d,path={loop_device}')
    medium.set('hold-writes', True)
    client = subprocess.Popen([store.binary, 'bench', 'blk', world.disk_socket, '--rw', 'randwrite',
                               '--destroy-data', '--seconds', '60'],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        proc.until(lambda: medium.asked('held'), 20, 'writes are held')
        store.kill()
        # The kernel still has them, the process is gone: it must not be let in.
        with pytest.raises(RuntimeError, match='still under way'):
            store.start()
        medium.set('hold-writes', False)
        store.start()
    finally:
        client.kill()
        client.wait()
        if medium.is_set('hold-writes'):
            medium.set('hold-writes', False)
