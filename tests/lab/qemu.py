# SPDX-License-Identifier: BSD-3-Clause
"""A QEMU guest with Debian's cloud kernel, under TCG unless SLIPRING_KVM=1.

Stock kernels die under some machines' nested KVM although /dev/kvm opens, so that KVM is
never chosen by itself.
"""
import os

from . import initramfs, root
from .guest import Guest


class Qemu(Guest):
    kind = 'QEMU'
    memory = '256M'

    def launch(self, agent, shell=None):
        kernel, _ = initramfs.kernel()
        cmdline = ['console=ttyS0', 'quiet', 'panic=-1', f'sr.name={self.name}',
                   'sr.agent=/dev/vport0p1']
        consoles = []
        if shell is not None:
            cmdline.append('sr.shell=/dev/hvc0')
            consoles = ['-add-fd', f'fd={shell},set=9', '-chardev',
                        'serial,id=shell,path=/dev/fdset/9',
                        '-device', 'virtconsole,chardev=shell,nr=0']
        accel = 'kvm' if os.environ.get('SLIPRING_KVM') == '1' else 'tcg'
        words = ['qemu-system-x86_64', '-nodefaults', '-no-user-config', '-display', 'none',
                 '-machine', f'q35,accel={accel},memory-backend=m', '-cpu', 'max',
                 '-m', self.memory,
                 '-object', f'memory-backend-memfd,id=m,size={self.memory},share=on',
                 # The lab sees neither the checkout nor the cache, but our descriptors.
                 '-kernel', f'/boot/{kernel.name}', '-append', ' '.join(cmdline),
                 '-serial', 'stdio',
                 '-device', 'virtio-serial-pci', '-chardev', f'socket,id=agent,fd={agent}',
                 '-device', 'virtserialport,chardev=agent,name=agent,nr=1', *consoles]
        for i, nic in enumerate(self.nics):
            words += nic.qemu_arguments(i)
        image = os.open(initramfs.path(), os.O_RDONLY)
        try:
            fds = [fd for fd in (agent, shell, image) if fd is not None]
            return root.spawn([*words, '-initrd', f'/proc/self/fd/{image}'], log=self.console,
                              pass_fds=fds)
        finally:
            os.close(image)
