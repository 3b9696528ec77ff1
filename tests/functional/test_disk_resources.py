# SPDX-License-Identifier: BSD-3-Clause
"""What disks cost when nothing happens, and what sessions leave behind."""
import os
import subprocess
import time

import pytest
from lab import proc
from lab.ceph import POOL, Ceph
from lab.storage import file_of

MIB = 64


@pytest.fixture
def disks(request, world):
    """Ten disks of an engine: a list of what their descriptions say beside the name."""
    if request.param == 'file':
        yield [f'path: {file_of(f"{world.dir}/{i}.img", MIB)}' for i in range(10)]
    elif request.param == 'mem':
        yield [f'size: {MIB}M'] * 10
    elif request.param == 'nbd':
        p = proc.spawn(['nbdkit', '-f', '-U', world.socket('nbd'), 'memory', f'{MIB}M'],
                       log=f'{world.dir}/nbdkit.log')
        proc.until(lambda: os.path.exists(world.socket('nbd')), 10, 'nbdkit listens')
        yield [f'uri: "nbd+unix:///?socket={world.socket("nbd")}"'] * 10
        proc.kill(p)
    else:
        with Ceph(world.dir) as ceph:
            for i in range(10):
                ceph.make_image(f'i{i}', MIB)
            yield [f'pool: {POOL}, image: i{i}, conf: {ceph.conf}' for i in range(10)]


def sessions(store, sockets):
    """One on each at the same time."""
    clients = [subprocess.Popen([store.binary, 'bench', 'blk', s, '--seconds', '0.1'],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
               for s in sockets]
    for c in clients:
        said = c.communicate(timeout=60)[0]
        # On a busy machine there may be no time for a request.
        assert c.returncode == 0 or 'no request ended' in said, said


def settled(store):
    proc.until(lambda: {d['state'] for d in store.ctl('devices')} == {'waiting'}, 20,
               'all sessions are over')
    return store.open_files(), store.memory_kib()['VmRSS']


@pytest.mark.parametrize('engine,disks', [(e, e) for e in ('file', 'mem', 'nbd', 'rbd')],
                         indirect=['disks'])
def test_ten_idle_disks_use_no_cpu_and_sessions_leave_nothing(world, engine, disks):
    config = f'{world.dir}/store.yaml'
    with open(config, 'w') as f:
        f.write(f'control: {{socket: {world.dir}/store.ctl}}\ndisks:\n')
        f.writelines(f'  - {{name: d{i}, type: {engine}, {d}}}\n' for i, d in enumerate(disks))
        f.write('blk:\n')
        f.writelines(f'  - {{name: b{i}, disk: d{i}, socket: {world.socket(i)}}}\n'
                     for i in range(10))
    sockets = [world.socket(i) for i in range(10)]
    store = world.store('serve', config, sockets=sockets)
    sessions(store, sockets)  # what is set aside once, is
    files, memory = settled(store)
    for _ in range(5):
        sessions(store, sockets)
    later = settled(store)
    # The connection of the last ctl may still be there.
    proc.until(lambda: store.open_files() <= files, 5, f'no more than {files} open files')
    assert later[1] < memory + 2048, f'{memory} KiB have become {later[1]}'
    before = store.cpu_ticks()
    time.sleep(5)
    assert store.cpu_ticks() - before <= 1
