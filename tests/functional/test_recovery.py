# SPDX-License-Identifier: BSD-3-Clause
"""The daemon of a disk dies, is ended, and comes back under guests that write and verify; the
storage behind it hangs and comes back. No request is lost or done twice, and what hangs holds up nobody
else. scripts/soak does the first for hours."""
import os
import random
import shutil
import signal
import subprocess
import time

import pytest
from lab import proc, recovery
from lab.ceph import POOL, Ceph
from lab.disk import Disk
from lab.nic import Nic
from lab.proxy import INFLIGHT_SHMFD, Proxy
from lab.qemu import Qemu
from lab.storage import file_of
from test_disks import fio

HANG = 20  # seconds; a stuck disk may hold up its front-end for 5 at each message


def serve(world, text, sockets):
    path = f'{world.dir}/store.yaml'
    with open(path, 'w') as f:
        f.write(f'control: {{socket: {world.dir}/store.ctl}}\n{text}')
    return world.store('serve', path, sockets=sockets)


def qemu(world, name, *devices, cpus=1):
    g = Qemu(name, devices, world.dir)
    g.cpus = cpus
    world.guests.append(g)
    return g


def slow(mib):
    """A fast disk has nothing under way when its daemon dies, and nothing out of order; so
    requests that touch the front of a disk wait."""
    return f'fault-delay-ms: 30, fault-length: {mib}M'


@pytest.fixture(scope='module')
def booted(module_world):
    """A daemon with some of everything, and a guest that uses all: vda is a block device of two
    queues, sda a unit of a SCSI host, vdb a block device without an in-flight record."""
    w = module_world
    Proxy(w.socket('front'), w.socket('bare'), hide=[INFLIGHT_SHMFD])
    images = [file_of(f'{w.dir}/{n}.img', 320) for n in 'abc']
    store = serve(w, f'''
threads: 2
ports:
  - {{type: vhost-user, name: net, socket: {w.socket('net')}}}
disks:
  - {{type: file, name: a, path: {images[0]}, {slow(24)}}}
  - {{type: file, name: b, path: {images[1]}, {slow(12)}}}
  - {{type: file, name: c, path: {images[2]}, {slow(12)}}}
blk:
  - {{name: blk, disk: a, socket: {w.socket('blk')}}}
  - {{name: bare, disk: b, socket: {w.socket('bare')}}}
scsi:
  - {{name: scsi, socket: {w.socket('scsi')}, luns: ["0:0=c"]}}
''', [w.socket(n) for n in ('net', 'blk', 'bare', 'scsi')])
    g = qemu(w, 'g', Disk(w.socket('blk'), queues=2), Disk(w.socket('front')),
             Disk(w.socket('scsi'), kind='scsi'), Nic(w.socket('net'), mac=w.mac('net')), cpus=2)
    return w, store, g.boot()


@pytest.fixture
def world_store_guest(request, booted):
    request.node.worlds = booted[:1]
    return booted


def test_a_killed_daemon_loses_no_request_and_does_none_twice(world_store_guest):
    _, store, g = world_store_guest
    device = store.device('blk')
    assert device['queues'] == 2
    assert 'INFLIGHT_SHMFD' in device['protocol_features']
    blk = recovery.Churn(g, jobs=2).start()
    scsi = recovery.Churn(g, '/dev/sda').start()
    under_way = recovery.kills(store, 'blk', blk, 8)
    scsi.must_move()
    blk.finish()
    scsi.finish()
    assert sum(n or 0 for n in under_way) > 0, 'a test with nothing under way shows nothing'


def test_a_daemon_that_starts_again_has_what_its_file_describes(world_store_guest):
    world, store, g = world_store_guest

    def everything():
        return [[(x['name'], x['type'], x.get('disk'), x.get('size')) for x in store.ctl(what)]
                for what in ('ports', 'disks', 'devices')]
    before = everything()
    assert [len(x) for x in before] == [1, 3, 3]
    for end in (store.stop, store.kill):
        end()
        store.start()
        assert everything() == before
        for name in ('blk', 'bare', 'scsi'):
            recovery.wait_running(store, name)
        proc.until(lambda: store.ctl('port', 'net')['state'] != 'waiting', HANG, 'net is back')
        for disk in ('vda', 'vdb', 'sda'):
            g.run(f'dd if=/dev/{disk} of=/dev/null bs=1M count=4 iflag=direct')


def test_a_file_system_is_made_and_filled_while_the_daemon_dies(world_store_guest):
    _, store, g = world_store_guest
    rng = random.Random()
    job = g.background(
        'cd /tmp && mkdir -p m && mkfs.ext4 -qF /dev/vda && mount /dev/vda m && '
        'for f in 1 2 3; do head -c 2000000 /dev/urandom > m/$f; sync; done; '
        '(cd m && sha256sum *) > sums; umount m && fsck.ext4 -fn /dev/vda && mount /dev/vda m && '
        '(cd m && sha256sum -c ../sums) && umount m')
    for _ in range(4):
        recovery.strike(store, rng)
    job.wait(120)


def test_a_daemon_that_dies_during_a_resize_has_the_size_of_the_file(world_store_guest):
    world, store, g = world_store_guest
    image = f'{world.dir}/a.img'
    rng = random.Random()
    churn = recovery.Churn(g, jobs=2).start()
    for i in range(3):
        recovery.wait_running(store, 'blk')
        wanted = 400 + 16 * i
        resize = subprocess.Popen([store.binary, 'ctl', '--socket', store.control, 'resize', 'a',
                                   f'{wanted}M'], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0, 0.02))
        store.kill()
        resize.wait(HANG)
        store.start()
        assert store.disk('a')['size'] == os.path.getsize(image)
        churn.must_move()
    recovery.wait_running(store, 'blk')
    store.ctl('resize', 'a', '480M')
    proc.until(lambda: g.run('cat /sys/block/vda/size').output.strip() == str(480 * 2048), HANG,
               'the guest sees the new size')
    g.run('dmesg -c')  # it tells of each new size
    churn.finish()


def test_without_the_in_flight_record_all_this_fails(world_store_guest):
    """Of the tests here, that they can fail: the last one with this guest."""
    _, store, g = world_store_guest
    assert 'INFLIGHT_SHMFD' not in store.device('bare')['protocol_features']
    churn = recovery.Churn(g, '/dev/vdb').start()
    churn.must_move()
    rng = random.Random()
    with pytest.raises((RuntimeError, TimeoutError), match='bare is running|request completes|fio'):
        for _ in range(10):
            recovery.strike(store, rng)
            recovery.wait_running(store, 'bare', 5)
            churn.must_move(5)


@pytest.fixture
def nbd_server(world):
    """QEMU's: nbdkit 1.32 dies when a connection does under its writes."""
    if not shutil.which('qemu-storage-daemon'):
        pytest.skip('takes qemu-storage-daemon')
    path = world.socket('nbd')
    p = proc.spawn(['qemu-storage-daemon',
                    '--blockdev', f'file,node-name=n,filename={file_of(world.dir + "/d.img", 128)}',
                    '--nbd-server', f'addr.type=unix,addr.path={path}',
                    '--export', 'nbd,id=e,node-name=n,name=,writable=on'],
                   log=f'{world.dir}/nbd.log')
    proc.until(lambda: os.path.exists(path), 10, 'the server listens')
    yield p
    proc.kill(p)


def test_a_guest_boots_while_the_daemon_dies_and_its_nbd_server_hangs(world, nbd_server):
    uri = f'nbd+unix:///?socket={world.socket("nbd")}'
    store = world.store('blk', f'--disk=nbd,name=d,uri={uri},fault-delay-ms=50,fault-length=12M')
    g = qemu(world, 'g', Disk(world.disk_socket)).start()
    proc.until(lambda: store.device('disk')['state'] != 'waiting', HANG, 'QEMU has connected')
    rng = random.Random()
    for _ in range(6):
        recovery.strike(store, rng)
    g.wait()
    churn = recovery.Churn(g, size='16m').start()
    recovery.kills(store, 'disk', churn, 2)
    os.kill(nbd_server.pid, signal.SIGSTOP)
    proc.until(lambda: store.device('disk')['in_flight'] > 0, HANG, 'requests are stuck')
    g.qmp('stop', timeout=HANG)
    g.qmp('cont', timeout=HANG)
    store.kill()
    os.kill(nbd_server.pid, signal.SIGCONT)
    store.start()
    recovery.wait_running(store, 'disk')
    churn.must_move()
    churn.finish()


class Frozen:
    """A daemon with a disk in a Ceph cluster whose only OSD stands still, a guest whose fio hangs
    on it, and another disk."""

    def __init__(self, world, ceph):
        self.ceph = ceph
        ceph.make_image('d', 64)
        self.store = serve(world, f"""
disks:
  - {{type: rbd, name: far, pool: {POOL}, image: d, conf: {ceph.conf}}}
  - {{type: mem, name: near, size: 64M}}
blk:
  - {{name: far, disk: far, socket: {world.socket('far')}}}
  - {{name: near, disk: near, socket: {world.socket('near')}}}
""", [world.socket(n) for n in ('far', 'near')])
        self.spec = f'name=far,disk=far,socket={world.socket("far")}'
        self.guest = qemu(world, 'far', Disk(world.socket('far'))).boot()
        self.churn = recovery.Churn(self.guest, size='16m').start()

    def freeze(self):
        self.churn.must_move()
        self.ceph.freeze_osd()
        proc.until(lambda: self.store.device('far')['in_flight'] > 0, HANG, 'requests are stuck')

    def thaw(self):
        self.ceph.thaw_osd()
        recovery.wait_running(self.store, 'far')
        self.churn.must_move()


@pytest.fixture
def far(world):
    # A client that was killed keeps its image's lock for so long; 30 is what clusters have.
    with Ceph(world.dir, 'osd client watch timeout = 10\n') as ceph:
        try:
            yield Frozen(world, ceph)
        finally:
            ceph.thaw_osd()


def test_a_ceph_cluster_that_stands_still_stalls_its_own_disk_only(world, far):
    store, g = far.store, far.guest
    far.freeze()
    near = world.disk_guest('UML', socket=world.socket('near'), name='near')
    fio(near, size='16m')
    near.kill()

    # The front-end stops the ring, which has requests that do not end, and starts it again.
    g.qmp('stop', timeout=HANG)
    g.qmp('cont', timeout=HANG)
    far.thaw()

    far.freeze()
    store.ctl('remove-device', 'far')
    proc.until(lambda: [d['name'] for d in store.ctl('devices')] == ['near'], HANG, 'far is gone')
    store.ctl('add-blk', far.spec)
    far.thaw()

    far.freeze()
    store.kill()
    far.ceph.thaw_osd()
    store.start()
    far.thaw()
    far.churn.finish()

    # A reset is served as well; the guest then waits for its disk, as it would for any.
    far.churn.start()
    far.freeze()
    g.began = time.monotonic()
    g.qmp('system_reset', timeout=HANG)
    proc.until(lambda: g.qmp('query-status', timeout=HANG)['status'] == 'running', HANG,
               'the guest starts anew')
    far.ceph.thaw_osd()
    g.wait()
    recovery.wait_running(store, 'far')
    fio(g, size='4m')


@pytest.mark.long
def test_what_takes_minutes_is_done_after_minutes(world):
    path = world.socket('nbd')
    server = proc.spawn(['nbdkit', '-f', '-U', path, '--filter=delay', 'memory', '64M',
                         'delay-write=130'], log=f'{world.dir}/nbdkit.log')
    try:
        proc.until(lambda: os.path.exists(path), 10, 'nbdkit listens')
        store = world.store('blk', f'--disk=nbd,name=d,uri=nbd+unix:///?socket={path}')
        g = world.disk_guest('UML')
        g.run('head -c 65536 /dev/urandom > /tmp/data')
        job = g.background('dd if=/tmp/data of=/dev/vda bs=4k oflag=direct conv=fsync count=1')
        proc.until(lambda: store.device('disk')['in_flight'] > 0, 20, 'the write is stuck')
        g.run('dd if=/dev/vda of=/dev/null bs=4k skip=1 count=100 iflag=direct')
        job.wait(200)
        g.run('cmp -n 4096 /tmp/data /dev/vda')
        assert store.device('disk')['counters']['failed'] == 0
    finally:
        proc.kill(server)
