# SPDX-License-Identifier: BSD-3-Clause
"""`slipring bench blk` against a back-end that is not ours: qemu-storage-daemon."""
import json
import os
import shutil
import signal
import subprocess
import time

import pytest

from lab import proc, root

SIZE = 64 << 20


class StorageDaemon:
    """qemu-storage-daemon with one export; of the lab, or the host's own."""

    def __init__(self, folder, node, *, in_lab, export='writable=on', queues=1):
        self.socket = folder / 'q.sock'
        command = ['qemu-storage-daemon', '--blockdev', f'node-name=d,{node}', '--export',
                   f'type=vhost-user-blk,id=e,node-name=d,addr.type=unix,num-queues={queues},'
                   f'addr.path={self.socket},{export}']
        log = folder / 'qsd.log'
        self.process = (root.spawn if in_lab else proc.spawn)(command, log=log)
        end = time.monotonic() + 20
        while not self.socket.exists():
            assert self.process.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.05)

    def freeze(self):
        """It and what it has started."""
        pids = [self.process.pid]
        for pid in pids:
            pids += proc.children(pid)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)

    def stop(self):
        for pid in [self.process.pid, *proc.children(self.process.pid)]:
            os.kill(pid, signal.SIGCONT)
        proc.kill(self.process)


@pytest.fixture(params=['lab', 'host'])
def storage(request, tmp_path):
    """Starts one: storage(node, ...)."""
    in_lab = request.param == 'lab'
    if in_lab:
        request.getfixturevalue('lab')
    elif not shutil.which('qemu-storage-daemon'):
        pytest.skip('no qemu-storage-daemon on the host')
    running = []

    def start(node, **kw):
        running.append(StorageDaemon(tmp_path, node, in_lab=in_lab, **kw))
        return running[-1]
    yield start
    for s in running:
        s.stop()


def run(binary, *args, check=True, timeout=120):
    done = subprocess.run([binary, 'bench', 'blk', *map(str, args)], capture_output=True,
                          text=True, timeout=timeout, check=False)
    if check:
        assert done.returncode == 0, done.stderr
    return done


def measure(binary, *args):
    return json.loads(run(binary, '--json', '--seconds', '0.5', *args).stdout)


NULL = f'driver=null-co,size={SIZE},read-zeroes=on'


def test_a_null_disk_is_measured(binary, storage):
    q = storage(NULL)
    r = measure(binary, q.socket)
    assert r['iops'] > 0 and r['bytes_per_second'] == pytest.approx(r['iops'] * 4096)
    assert set(r['latency_us']) == {'p50', 'p90', 'p99', 'p99.9', 'max', 'mean'}
    assert r['read']['iops'] == r['iops'] and 'write' not in r
    assert r['errors'] == []
    assert 'FLUSH' in r['back_end']['features']
    assert r['back_end']['config']['capacity'] == SIZE
    text = run(binary, '--seconds', '0.5', '--sleep', q.socket).stdout
    assert 'IOPS' in text and 'latency, us' in text


def test_several_queues_and_flushes_are_measured(binary, storage):
    q = storage(NULL, queues=4)
    r = measure(binary, q.socket, '--queues', 4, '--threads', 2, '--depth', 128, '--rw', 'randrw',
                '--mix', 70, '--destroy-data', '--flush-every', 16, '--bs', '128k')
    assert r['read']['iops'] > r['write']['iops'] > r['flush']['iops'] > 0
    assert r['iops'] == pytest.approx(r['read']['iops'] + r['write']['iops'])


@pytest.mark.parametrize('rw', ['randrw', 'rw', 'randwrite', 'write'])
def test_what_is_written_to_a_file_comes_back(binary, storage, tmp_path, rw):
    disk = tmp_path / 'disk'
    with open(disk, 'wb') as f:
        f.truncate(SIZE)
    q = storage(f'driver=file,filename={disk}')
    r = measure(binary, q.socket, '--rw', rw, '--verify', '--destroy-data', '--depth', 16)
    assert r['verified']['blocks'] > 0
    # And is still there for a later run, until somebody damages it.
    r = measure(binary, q.socket, '--rw', 'read', '--verify', '--bs', '64k')
    assert r['verified']['blocks'] > 0
    written = disk.read_bytes().find(b'SRRDSKV1')
    assert written >= 0
    with open(disk, 'r+b') as f:
        f.seek(written + 300)
        f.write(b'?')
    done = run(binary, '--rw', 'read', '--verify', '--seconds', '2', q.socket, check=False)
    assert done.returncode == 1
    assert f'verify: offset {written}: expected generation' in done.stderr
    assert 'damaged: its checksum is wrong' in done.stderr


def test_a_read_only_disk_is_not_written(binary, storage):
    q = storage(f'{NULL},read-only=on', export='writable=off')
    assert measure(binary, q.socket)['back_end']['config']['read_only']
    done = run(binary, q.socket, '--rw', 'write', '--destroy-data', check=False)
    assert done.returncode == 1
    assert "the disk is read-only: --rw write can't write" in done.stderr


def test_writing_needs_to_be_meant(binary, storage):
    q = storage(NULL)
    for rw in ['write', 'randwrite', 'rw', 'randrw']:
        done = run(binary, q.socket, '--rw', rw, check=False)
        assert done.returncode == 2 and '--destroy-data' in done.stderr


def test_a_daemon_that_stops_is_told_with_what_was_outstanding(binary, storage):
    q = storage(NULL)
    bench = subprocess.Popen([binary, 'bench', 'blk', '--seconds', '60', '--timeout', '1',
                              q.socket], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             text=True)
    time.sleep(1)
    q.freeze()
    _, err = bench.communicate(timeout=60)
    assert bench.returncode == 1
    assert 'nothing came back for 1 s; outstanding: queue 0: 64 requests, the oldest a read' in err


def test_errors_of_the_disk_are_counted_by_name(binary, storage):
    q = storage(f'driver=blkdebug,image.driver=null-co,image.size={SIZE},'
                'inject-error.0.event=none,inject-error.0.iotype=read,'
                'inject-error.0.errno=5,'
                'inject-error.0.sector=128')
    done = run(binary, '--json', '--seconds', '0.5', '--rw', 'read', '--range', '1M', q.socket,
               check=False)
    assert done.returncode == 1 and 'requests failed' in done.stderr
    (error,) = json.loads(done.stdout)['errors']
    assert error['error'] == 'IOERR' and error['count'] > 0 and error['first_offset'] == 65536


def test_another_kind_of_device_is_refused(binary, tmp_path):
    socket = tmp_path / 'net.sock'
    switch = proc.spawn([binary, 'switch', '--control=none', '--port',
                         f'vhost-user,name=a,socket={socket}'])
    end = time.monotonic() + 20
    while not socket.exists() and time.monotonic() < end:
        time.sleep(0.05)
    done = run(binary, socket, check=False)
    proc.kill(switch)
    assert done.returncode == 1
    assert 'it is a network device' in done.stderr


@pytest.mark.parametrize('kind', ['blk', 'scsi'])
def test_our_own_disks_bring_back_what_was_written(binary, tmp_path, kind):
    socket = tmp_path / 'own.sock'
    disk = ['--disk=mem,size=64M'] if kind == 'blk' else ['--lun', '3:2=mem,size=64M']
    server = proc.spawn([binary, kind, f'--socket-path={socket}', *disk],
                        log=tmp_path / 'own.log')
    end = time.monotonic() + 20
    while not socket.exists() and time.monotonic() < end:
        time.sleep(0.05)
    unit = ['--target', '3', '--lun', '2'] if kind == 'scsi' else []
    common = [binary, 'bench', kind, '--json', '--seconds', '0.5', '--verify', *unit, socket]
    first = subprocess.run([*common, '--rw', 'randrw', '--destroy-data', '--queues', '2',
                            '--flush-every', '20'], capture_output=True, text=True, timeout=120,
                           check=False)
    later = subprocess.run([*common, '--rw', 'read', '--bs', '64k'], capture_output=True,
                           text=True, timeout=120, check=False)
    proc.kill(server)
    for done in first, later:
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)['verified']['blocks'] > 0
