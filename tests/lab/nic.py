# SPDX-License-Identifier: BSD-3-Clause
"""A guest's network device: which socket leads to its back-end, and who listens on it."""
import hashlib
from dataclasses import dataclass


@dataclass
class Nic:
    socket: str
    listens: bool = False   # the guest's side does, so the switch's port has mode=client
    mac: str = ''           # QEMU only; UML asks the back-end or chooses itself
    queues: int = 1         # pairs; QEMU only, UML has one

    def uml_argument(self):
        return f'virtio_uml.device={self.socket}:1'

    def qemu_arguments(self, index, reconnect='reconnect-ms=100', vectors=None):
        # wait=off means only that QEMU's monitor is up before: a vhost-user netdev waits
        # for its back-end in any case.
        how = 'server=on,wait=off' if self.listens else reconnect
        # Left to itself, every QEMU would choose the same address.
        mac = self.mac or '52:54:00:%02x:%02x:%02x' % tuple(
            hashlib.sha256(self.socket.encode()).digest()[:3])
        device = f'virtio-net-pci,netdev=n{index},romfile=,mac={mac}'
        if self.queues > 1:
            device += ',mq=on'
            vectors = 2 * self.queues + 2 if vectors is None else vectors
        if vectors is not None:
            device += f',vectors={vectors}'
        return ['-chardev', f'socket,id=c{index},path={self.socket},{how}',
                '-netdev', f'vhost-user,id=n{index},chardev=c{index},queues={self.queues}',
                '-device', device]
