# SPDX-License-Identifier: BSD-3-Clause
"""A slipring that serves disks: `slipring blk`, `slipring scsi` or `slipring serve FILE`."""
import os

from . import proc
from .daemon import Daemon


class Store(Daemon):
    """words: the subcommand and its options. `sockets`: what it listens on; start() returns
    when all of them are there."""

    def __init__(self, binary, workdir, sockets, *words, name='store'):
        super().__init__(binary, workdir, name)
        self.sockets = list(sockets)
        self.words = list(words)
        if words[0] != 'serve':  # there the file says
            self.words += ['--control', self.control]

    def start(self):
        self.spawn(self.words)
        for s in self.sockets:
            proc.until(lambda: os.path.exists(s), 10, f'{s} is there')
        return self

    def disk(self, name):
        return self.ctl('disk', name)

    def device(self, name):
        return self.ctl('device', name)


def file_of(path, mib):
    """A new, empty file of that size."""
    with open(path, 'wb') as f:
        f.truncate(mib << 20)
    return path


def allocated(path):
    """Bytes that it takes on its medium."""
    return os.stat(path).st_blocks * 512
