# SPDX-License-Identifier: BSD-3-Clause
"""A guest's disk, as guests use it: file systems, fio with verify, discard, resize, on every
engine. UML guests where one boot suffices; QEMU where the front-end matters."""
import filecmp
import os
import subprocess

import pytest
from lab import proc
from lab.ceph import POOL, Ceph
from lab.disk import Disk
from lab.storage import allocated, file_of

MIB = 320  # below 300 there is no xfs


def fio(guest, *options, size='48m', rw='randrw', device='/dev/vda', timeout=120):
    """With verify, direct, several block sizes; fails when a byte is wrong."""
    words = ' '.join(options)
    return guest.run(
        f'cd /tmp && fio --name=v --filename={device} --rw={rw} --bssplit=4k/70:64k/20:1m/10 '
        f'--iodepth=32 --direct=1 --ioengine=libaio --size={size} --verify=crc32c '
        f'--do_verify=1 --verify_fatal=1 {words}', timeout=timeout)


def make_and_check(guest, kind, device='/dev/vda'):
    """A file system is made, filled, unmounted and found sound."""
    make = {'ext4': 'mkfs.ext4 -qF', 'xfs': 'mkfs.xfs -qf'}[kind]
    check = {'ext4': 'fsck.ext4 -fn', 'xfs': 'xfs_repair -n'}[kind]
    guest.run(f'{make} {device} && mkdir -p /tmp/m && mount {device} /tmp/m && '
              'for i in 1 2 3 4 5 6 7 8; do head -c 3000000 /dev/urandom > /tmp/m/$i; done; '
              'rm /tmp/m/3 /tmp/m/5; sync; (cd /tmp/m && sha256sum *) > /tmp/sums; '
              f'umount /tmp/m && {check} {device} && mount {device} /tmp/m && '
              'cd /tmp/m && sha256sum -c /tmp/sums && cd / && umount /tmp/m', timeout=90)


@pytest.fixture
def nbdkit(world):
    """Starts one; returns its URI."""
    started = []

    def start(*words):
        sock = f'{world.dir}/nbd{len(started)}.sock'
        started.append(proc.spawn(['nbdkit', '-f', '-U', sock, *words],
                                  log=f'{world.dir}/nbdkit.log'))
        proc.until(lambda: os.path.exists(sock), 10, 'nbdkit listens')
        return f'nbd+unix:///?socket={sock}'
    yield start
    for p in started:
        proc.kill(p)


@pytest.fixture
def engine(request, world, nbdkit):
    """The options of `slipring blk` for one engine."""
    if request.param == 'file':
        yield [f'--blk-file={file_of(world.dir + "/d.img", MIB)}']
    elif request.param == 'mem':
        yield [f'--disk=mem,name=d,size={MIB}M']
    elif request.param == 'nbd':
        yield [f'--disk=nbd,name=d,uri={nbdkit("memory", f"{MIB}M")}']
    else:
        with Ceph(world.dir) as ceph:
            ceph.make_image('d', MIB)
            yield [f'--disk=rbd,name=d,pool={POOL},image=d,conf={ceph.conf}']


@pytest.mark.parametrize('engine', ['file', 'mem', 'nbd', 'rbd'], indirect=True)
def test_file_systems_and_fio_on_every_engine(world, engine):
    world.store('blk', *engine)
    g = world.disk_guest('UML')
    for kind in ('ext4', 'xfs'):
        make_and_check(g, kind)
    fio(g)


def test_a_file_of_4096_byte_blocks(world):
    world.store('blk', f'--blk-file={file_of(world.dir + "/d.img", MIB)}', '--block-size=4096')
    g = world.disk_guest('UML')
    assert g.run('cat /sys/block/vda/queue/logical_block_size').output.strip() == '4096'
    make_and_check(g, 'ext4')
    fio(g)


def test_several_queues_on_several_threads(world):
    image = file_of(f'{world.dir}/d.img', MIB)
    store = world.store('blk', f'--blk-file={image}', '--num-queues=4', '--threads=2')
    g = world.new_guest('QEMU', 'a', Disk(world.disk_socket, queues=4))
    g.cpus = 4
    g.boot()
    assert store.device('disk')['queues'] == 4
    fio(g, '--numjobs=4 --offset_increment=48m', size='40m')


def test_what_the_guest_was_told_is_what_it_sees(world):
    image = file_of(f'{world.dir}/d.img', MIB)
    world.store('blk', f'--blk-file={image}', '--serial=Sr-0815', '--cache=writethrough')
    g = world.disk_guest('UML')
    assert g.run('cat /sys/block/vda/serial').output.strip() == 'Sr-0815'
    assert g.run('cat /sys/block/vda/size').output.strip() == str(MIB * 2048)
    assert 'through' in g.run('cat /sys/block/vda/queue/write_cache').output
    # The guest may choose another cache mode, and does.
    g.run('echo "write back" > /sys/block/vda/cache_type')
    assert 'back' in g.run('cat /sys/block/vda/queue/write_cache').output
    fio(g, '--fsync=8', size='8m')


def test_a_read_only_disk_stays_as_it_is(world):
    image = file_of(f'{world.dir}/d.img', 16)
    world.store('blk', f'--blk-file={image}', '--read-only')
    g = world.disk_guest('UML')
    assert g.run('cat /sys/block/vda/ro').output.strip() == '1'
    assert g.run('dd if=/dev/zero of=/dev/vda bs=4k count=1 oflag=direct', check=False).status
    g.run('dd if=/dev/vda of=/dev/null bs=1M')


def test_what_is_discarded_gives_its_room_back(world):
    image = file_of(f'{world.dir}/d.img', 64)
    world.store('blk', f'--blk-file={image}')
    g = world.disk_guest('UML')
    g.run('dd if=/dev/urandom of=/dev/vda bs=1M count=64 oflag=direct', timeout=60)
    assert allocated(image) >= 64 << 20
    g.run('blkdiscard -f -o 16M -l 32M /dev/vda')
    assert allocated(image) <= 33 << 20
    g.run('blkdiscard -f -z -o 0 -l 8M /dev/vda')
    assert g.run('head -c 8M /dev/vda | tr -d "\\000" | wc -c').output.strip() == '0'


@pytest.mark.parametrize('kind', ['UML', 'QEMU'])
def test_a_new_size_reaches_the_guest(world, kind):
    image = file_of(f'{world.dir}/d.img', 64)
    store = world.store('blk', f'--blk-file={image}')
    g = world.disk_guest(kind)
    disk = store.ctl('disks')[0]['name']
    store.ctl('resize', disk, '96M')
    assert os.path.getsize(image) == 96 << 20
    g.run(f'for i in $(seq 50); do [ $(cat /sys/block/vda/size) = {96 * 2048} ] && exit 0; '
          'sleep 0.1; done; cat /sys/block/vda/size; exit 1')
    g.run('dd if=/dev/urandom of=/dev/vda bs=1M seek=90 count=6 oflag=direct')


def test_what_was_flushed_survives_the_death_of_guest_and_daemon(world):
    image = file_of(f'{world.dir}/d.img', 64)
    store = world.store('blk', f'--blk-file={image}')
    g = world.disk_guest('UML')
    g.run('head -c 8388608 /dev/urandom > /tmp/data && '
          'dd if=/tmp/data of=/dev/vda bs=1M oflag=direct conv=fsync')
    digest = g.run('sha256sum < /tmp/data').output
    store.kill()
    g.kill()
    store.start()
    g.boot()
    assert g.run('head -c 8388608 /dev/vda | sha256sum').output == digest


def test_qemus_own_client_reads_writes_and_compares(world):
    image = file_of(f'{world.dir}/d.img', 64)
    other = file_of(f'{world.dir}/other.img', 64)
    with open(other, 'r+b') as f:
        f.write(os.urandom(64 << 20))
    world.store('blk', f'--blk-file={image}')
    disk = f'driver=virtio-blk-vhost-user,path={world.disk_socket},cache.direct=on'
    world.lab_run('qemu-img', 'convert', '-n', '-f', 'raw', other, '--target-image-opts', disk)
    assert 'identical' in world.lab_run('qemu-img', 'compare', '--image-opts',
                                        f'driver=file,filename={other}', disk)
    world.lab_run('qemu-img', 'bench', '-c', '20000', '-d', '64', '-s', '4096', '--image-opts',
                  disk)
    assert filecmp.cmp(image, other, shallow=False)


def test_limits_hold_and_can_be_changed(world):
    store = world.store('blk', '--disk=mem,name=d,size=64M,iops=200,iops-burst=20')
    g = world.disk_guest('UML')
    read = ('cd /tmp && fio --name=r --filename=/dev/vda --rw=randread --bs=4k --iodepth=16 '
            '--direct=1 --ioengine=libaio --runtime=2 --time_based --output-format=terse')

    def done():
        return int(g.run(read, timeout=60).output.splitlines()[-1].split(';')[5]) // 4
    assert done() <= 200 * 3 + 20
    store.ctl('limit', 'd', 'iops=0')
    assert done() > 5000


def test_a_stuck_server_stalls_its_own_disk_only(world, nbdkit):
    uri = nbdkit('--filter=delay', 'memory', '64M', 'delay-read=300')
    sockets = [f'{world.dir}/{n}.sock' for n in ('slow', 'fast')]
    config = f'''
control: {{socket: {world.dir}/store.ctl}}
disks:
  - {{name: slow, type: nbd, uri: "{uri}"}}
  - {{name: fast, type: mem, size: 64M}}
blk:
  - {{name: slow, disk: slow, socket: {sockets[0]}}}
  - {{name: fast, disk: fast, socket: {sockets[1]}}}
'''
    with open(f'{world.dir}/store.yaml', 'w') as f:
        f.write(config)
    store = world.store('serve', f'{world.dir}/store.yaml', sockets=sockets)
    a = world.disk_guest('UML', socket=sockets[1], name='fast')
    client = subprocess.Popen([store.binary, 'bench', 'blk', sockets[0], '--seconds', '60'],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        proc.until(lambda: store.device('slow')['in_flight'] > 0, 20, 'requests are stuck')
        fio(a, size='16m')
        # Its front-end dies with requests under way: a new one is served before long.
        client.kill()
        client.wait()
        proc.until(lambda: store.device('slow')['state'] == 'waiting', 20, 'the session is over')
        store.ctl('remove-device', 'slow')
        proc.until(lambda: all(d['name'] != 'slow' for d in store.ctl('devices')), 20, 'it is gone')
        fio(a, size='16m')
    finally:
        client.kill()
