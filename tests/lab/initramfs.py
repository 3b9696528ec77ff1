# SPDX-License-Identifier: BSD-3-Clause
"""The root of QEMU guests: an initramfs with busybox, a few real tools and the drivers of the
lab's kernel that a guest needs; guests with disks have a larger one, as fio and the file
systems' tools come with many libraries. Made once per lab and kept in the cache, next to it.

It is not compressed: under TCG unpacking would cost more than it saves.
"""
import lzma
import os
import re
from pathlib import Path

from . import root

TOOLS = ['/usr/bin/busybox', '/usr/bin/dash', '/usr/bin/ip', '/usr/bin/ping', '/usr/bin/iperf3',
         '/usr/sbin/ethtool']
MODULES = ['net/core/failover', 'drivers/net/net_failover', 'drivers/net/virtio_net',
           'net/llc/llc', 'net/802/stp', 'net/802/garp', 'net/802/mrp', 'net/8021q/8021q',
           'drivers/char/hw_random/virtio-rng']
DISK_TOOLS = ['/usr/bin/fio', '/usr/sbin/mke2fs', '/usr/sbin/mkfs.ext4', '/usr/sbin/fsck.ext4',
              '/usr/sbin/mkfs.xfs', '/usr/sbin/xfs_repair', '/usr/sbin/blkdiscard',
              '/usr/bin/lsblk',
              *(f'/usr/bin/sg_{n}' for n in (
                  'inq', 'luns', 'persist', 'raw', 'readcap', 'vpd', 'modes', 'reset', 'unmap',
                  'write_same', 'compare_and_write', 'opcodes', 'sync', 'turs', 'requests',
                  'start', 'verify', 'dd'))]
# In the order in which they are loaded.
DISK_MODULES = ['drivers/scsi/scsi_common', 'drivers/scsi/scsi_mod', 'drivers/scsi/sd_mod',
                'drivers/scsi/sg', 'drivers/scsi/virtio_scsi', 'drivers/block/virtio_blk',
                'fs/xfs/xfs', 'fs/configfs/configfs', 'drivers/block/null_blk/null_blk']
LIBRARIES = ['/usr/lib/x86_64-linux-gnu/libgcc_s.so.1']  # threads open it when they end
FOLDERS = ['usr', 'usr/bin', 'usr/sbin', 'usr/lib', 'usr/lib64', 'proc', 'sys', 'dev', 'tmp', 'run']
LINKS = {'bin': 'usr/bin', 'sbin': 'usr/sbin', 'lib': 'usr/lib', 'lib64': 'usr/lib64',
         'usr/bin/sh': 'dash'}


class Cpio:
    """An archive in the "newc" format, the one that the kernel unpacks."""

    def __init__(self):
        self.parts = []
        self.seen = set()

    def add(self, name, mode, data=b''):
        self.seen.add(name)
        head = [len(self.seen), mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
        entry = b'070701' + b''.join(b'%08x' % n for n in head) + name.encode() + b'\0'
        for part in (entry, data):
            self.parts += [part, b'\0' * (-len(part) % 4)]

    def folder(self, name):
        for p in [*reversed(Path(name).parents), Path(name)]:
            if str(p) not in self.seen and str(p) != '.':
                self.add(str(p), 0o040755)

    def file(self, name, data):
        if name in self.seen:
            return
        self.folder(str(Path(name).parent))
        self.add(name, 0o100755, data)

    def bytes(self):
        self.add('TRAILER!!!', 0)
        return b''.join(self.parts)


def kernel():
    """(image, version) of the lab's kernel."""
    image = max((root.path() / 'boot').glob('vmlinuz-*'))
    return image, image.name.removeprefix('vmlinuz-')


def _libraries(tools):
    return sorted(set(re.findall(r'(/\S+) \(0x', root.run(['ldd', *tools], check=False))))


def _build(disks):
    tools = TOOLS + DISK_TOOLS * disks
    lab = root.path()
    a = Cpio()
    for f in FOLDERS:
        a.folder(f)
    for name, target in LINKS.items():
        a.add(name, 0o120777, target.encode())
    for f in [*tools, *LIBRARIES, *_libraries(tools)]:
        # Symbolic links such as libc.so.6 or /lib64 become what they point to.
        name = f if f.startswith('/usr') else '/usr' + f
        a.file(name[1:], (lab / name[1:]).read_bytes())
    version = kernel()[1]
    for m in MODULES + DISK_MODULES * disks:
        packed = lab / f'usr/lib/modules/{version}/kernel/{m}.ko.xz'
        a.file(f'usr/lib/modules/{version}/kernel/{m}.ko', lzma.decompress(packed.read_bytes()))
    a.file('init', (root.CHECKOUT / 'tests/guest/init').read_bytes())
    return a.bytes()


def path(disks=False):
    """The initramfs; made if the lab or the sources here are newer."""
    sources = [Path(__file__), root.CHECKOUT / 'tests/guest/init']
    newest = max(os.stat(s).st_mtime_ns for s in sources)
    d = root.cache()
    kind = 'disks' if disks else 'plain'
    image = d / f'initramfs-{kind}-{root.stamp()}-{newest:x}'
    if not image.exists():
        for old in d.glob(f'initramfs-{kind}-*'):
            old.unlink()
        part = d / f'.initramfs-{os.getpid()}'
        part.write_bytes(_build(disks))
        part.rename(image)
    return image
