# SPDX-License-Identifier: BSD-3-Clause
"""A guest's block device or SCSI host: which socket leads to its back-end."""
from dataclasses import dataclass

UML_IDS = {'blk': 2, 'scsi': 8}


@dataclass
class Disk:
    socket: str
    kind: str = 'blk'       # or 'scsi'
    queues: int = 1         # QEMU only; UML asks the back-end
    options: str = ''       # of QEMU's device, ",config-wce=off" and such

    def uml_argument(self):
        return f'virtio_uml.device={self.socket}:{UML_IDS[self.kind]}'

    def qemu_arguments(self, index, reconnect='reconnect-ms=100', vectors=None):
        queues = {'blk': 'num-queues', 'scsi': 'num_queues'}[self.kind]
        device = f'vhost-user-{self.kind}-pci,chardev=d{index},{queues}={self.queues}'
        # SCSI has a control and an event queue beside; QEMU's default suits a guest's CPUs.
        if vectors is not None:
            device += f',vectors={vectors}'
        return ['-chardev', f'socket,id=d{index},path={self.socket},{reconnect}',
                '-device', device + self.options]
