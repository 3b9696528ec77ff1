# SPDX-License-Identifier: BSD-3-Clause
"""A User-mode Linux guest: a real kernel in a process, at its prompt after a second.

Its root is the lab's root folder (hostfs, read-only), so all of the lab's programs are in
the guest. Its vhost-user front-end connects once, at boot, and never again.
"""
import os
import shutil

from . import proc, root
from .guest import Guest


class Uml(Guest):
    kind = 'UML'
    memory = '256M'

    def launch(self, agent, shell=None):
        init = os.path.join(self.workdir, 'init')
        shutil.copy(root.CHECKOUT / 'tests/guest/init', init)
        words = ['/usr/bin/linux.uml', f'mem={self.memory}', 'rootfstype=hostfs',
                 'rootflags=/', 'ro', f'init={init}', 'con0=null,fd:1', 'con=null',
                 f'ssl0=fd:{agent}', 'ssl=null', f'umid={self.name}', 'uml_dir=/run/uml',
                 'sr.agent=/dev/ttyS0', f'sr.name={self.name}', 'panic=-1']
        if self.has_disks():
            words.append('sr.disks')
        if shell is not None:
            words += [f'ssl1=fd:{shell}', 'sr.shell=/dev/ttyS1']
        words += [d.uml_argument() for d in self.devices]
        fds = [fd for fd in (agent, shell) if fd is not None]
        return root.spawn(words, log=self.console, pass_fds=fds)
