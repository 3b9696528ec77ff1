# SPDX-License-Identifier: BSD-3-Clause
"""A Ceph cluster of one node: one monitor, one OSD with its data in memory, no keys, a single
copy. Real daemons of the lab, on the machine's loopback device.

    with Ceph(workdir) as ceph:
        ceph.make_image('disk', mib=64)
        ... type: rbd, pool: rbd, image: disk, conf: ceph.conf ...
"""
import os
import signal
import socket
import textwrap
import uuid

from . import proc, root

POOL = 'rbd'


def _free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Ceph:
    def __init__(self, workdir, options=''):
        """options: further lines of the configuration."""
        self.options = options
        self.dir = os.path.join(workdir, 'ceph')
        self.conf = f'{self.dir}/ceph.conf'
        self.mon = self.osd = None

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_):
        self.close()

    def _run(self, *words, timeout=60):
        return root.run([*words[:1], '-c', self.conf, *words[1:]], timeout=timeout)

    def start(self):
        os.makedirs(f'{self.dir}/osd')
        fsid, osd_uuid = uuid.uuid4(), uuid.uuid4()
        address = f'v2:127.0.0.1:{_free_port()}/0'
        with open(self.conf, 'w') as f:
            f.write(textwrap.dedent(f'''\
                [global]
                fsid = {fsid}
                mon host = [{address}]
                mon data = {self.dir}/mon
                osd data = {self.dir}/osd
                run dir = {self.dir}
                admin socket =
                log file = {self.dir}/$name.log
                pid file =
                auth cluster required = none
                auth service required = none
                auth client required = none
                auth allow insecure global id reclaim = true
                mon allow pool size one = true
                osd pool default size = 1
                osd pool default min size = 1
                osd objectstore = memstore
                memstore device bytes = 2147483648
                osd crush chooseleaf type = 0
                mon osd down out interval = 3600
                public network = 127.0.0.0/8
                ms bind ipv6 = false
                ''') + self.options)
        root.run(['monmaptool', '--create', '--fsid', fsid, '--addv', 'a', f'[{address}]',
                  f'{self.dir}/monmap'])
        self._run('ceph-mon', '-i', 'a', '--mkfs', '--monmap', f'{self.dir}/monmap')
        self.mon = root.spawn(['ceph-mon', '-c', self.conf, '-f', '-i', 'a'],
                              log=f'{self.dir}/mon.out')
        self._run('ceph', 'osd', 'new', str(osd_uuid))
        self._run('ceph-osd', '-i', '0', '--mkfs', '--osd-uuid', str(osd_uuid))
        self.start_osd()
        proc.until(lambda: '1 up' in self._run('ceph', 'osd', 'stat'), 30, 'one OSD is up', 0.3)
        self._run('ceph', 'osd', 'pool', 'create', POOL, '8')
        self._run('rbd', 'pool', 'init', POOL)
        return self

    def start_osd(self):
        self.osd = root.spawn(['ceph-osd', '-c', self.conf, '-f', '-i', '0'],
                              log=f'{self.dir}/osd.out')

    def _osd_pid(self):
        return proc.children(self.osd.pid)[0]

    def freeze_osd(self):
        """It keeps its connections and answers nobody."""
        os.kill(self._osd_pid(), signal.SIGSTOP)

    def thaw_osd(self):
        os.kill(self._osd_pid(), signal.SIGCONT)

    def make_image(self, name, mib):
        self._run('rbd', 'create', '--size', str(mib), f'{POOL}/{name}')

    def resize_image(self, name, mib):
        self._run('rbd', 'resize', '--size', str(mib), f'{POOL}/{name}')

    def close(self):
        for p in (self.osd, self.mon):
            if p:
                proc.kill(p)
        self.mon = self.osd = None
