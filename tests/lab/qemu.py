# SPDX-License-Identifier: BSD-3-Clause
"""A QEMU guest with Debian's cloud kernel, under TCG unless SLIPRING_KVM=1.

Stock kernels die under some machines' nested KVM although /dev/kvm opens, so that KVM is
never chosen by itself.
"""
import os

from . import initramfs, proc, root
from .guest import Guest
from .qmp import Qmp


class Qemu(Guest):
    kind = 'QEMU'
    cpus = 1  # virtio-blk uses no more queues than that
    memory = '256M'
    disk_memory = '512M'  # the larger root, while it is unpacked
    boot_timeout = 120  # TCG on a busy machine
    device_options = {}

    def kernel(self):
        """Its name as QEMU sees it."""
        return f'/boot/{initramfs.kernel()[0].name}'

    def spawn(self, words, fds):
        return root.spawn(words, log=self.console, pass_fds=fds)

    @property
    def monitor(self):
        return os.path.join(self.workdir, f'{self.name}.qmp')

    def qmp(self, command, timeout=60, **arguments):
        """Tells QEMU itself something; returns its answer."""
        with Qmp(self.monitor, timeout) as q:
            return q.execute(command, **arguments)

    def launch(self, agent, shell=None):
        cmdline = ['console=ttyS0', 'quiet', 'panic=-1', f'sr.name={self.name}',
                   'sr.agent=/dev/vport0p1']
        if self.has_disks():
            cmdline.append('sr.disks')
        consoles = []
        if shell is not None:
            cmdline.append('sr.shell=/dev/hvc0')
            consoles = ['-add-fd', f'fd={shell},set=9', '-chardev',
                        'serial,id=shell,path=/dev/fdset/9',
                        '-device', 'virtconsole,chardev=shell,nr=0']
        accel = 'kvm' if os.environ.get('SLIPRING_KVM') == '1' else 'tcg'
        memory = self.disk_memory if self.has_disks() else self.memory
        words = ['qemu-system-x86_64', '-nodefaults', '-no-user-config', '-display', 'none',
                 '-machine', f'q35,accel={accel},memory-backend=m', '-cpu', 'max',
                 '-smp', str(self.cpus), '-m', memory,
                 '-qmp', f'unix:{self.monitor},server=on,wait=off',
                 '-object', f'memory-backend-memfd,id=m,size={memory},share=on',
                 '-kernel', self.kernel(), '-append', ' '.join(cmdline),
                 '-serial', 'stdio',
                 '-device', 'virtio-serial-pci', '-chardev', f'socket,id=agent,fd={agent}',
                 '-device', 'virtserialport,chardev=agent,name=agent,nr=1', *consoles]
        for i, device in enumerate(self.devices):
            words += device.qemu_arguments(i, **self.device_options)
        # The lab sees neither the checkout nor the cache, but our descriptors.
        image = os.open(initramfs.path(self.has_disks()), os.O_RDONLY)
        try:
            fds = [fd for fd in (agent, shell, image) if fd is not None]
            return self.spawn([*words, '-initrd', f'/proc/self/fd/{image}'], fds)
        finally:
            os.close(image)


class QemuDebian12(Qemu):
    """Debian 12's own QEMU, 7.2: what many users have. Under TCG it crashes when the guest
    sets up MSI-X on a vhost-user device, with any back-end (tried: ours and DPDK's), so that
    its guests get a plain interrupt.
    """
    kind = 'QEMU 7.2'
    device_options = {'reconnect': 'reconnect=1', 'vectors': 0}

    def kernel(self):
        return str(initramfs.kernel()[0])

    def spawn(self, words, fds):
        return proc.spawn(words, log=self.console, pass_fds=fds)
