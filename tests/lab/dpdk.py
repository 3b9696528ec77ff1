# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's testpmd as a peer."""
import re

from . import proc, root

NET_COUNTERS = re.compile(r'(RX-packets|TX-packets): +(\d+)')


class Testpmd:
    """One testpmd that forwards as told; `vdev` is its only device. It shares memory with
    --no-huge, so that the machine needs no hugepages set aside."""
    __test__ = False  # says to pytest that this is none of its classes


    def __init__(self, name, vdev, mode, workdir, *, cpu=0, options=()):
        self.log = f'{workdir}/{name}.log'
        self.process = root.spawn(
            ['dpdk-testpmd', '--lcores', f'0@{cpu},1@{cpu}', '--no-pci', '--no-huge',
             '--no-telemetry', '--iova-mode=va', '-m', '128',
             '--in-memory', '--vdev', vdev, '--', '--nb-cores=1', f'--forward-mode={mode}',
             '--auto-start', '--stats-period', '1', '--no-mlockall',
             '--total-num-mbufs=4096', *options], log=self.log)

    def counters(self):
        """The newest (rx, tx) packets that it has printed."""
        with open(self.log, errors='replace') as f:
            found = dict(NET_COUNTERS.findall(f.read()))
        return int(found.get('RX-packets', 0)), int(found.get('TX-packets', 0))

    def wait_counter(self, which, least, timeout=30):
        def enough():
            if self.process.poll() is not None:
                raise RuntimeError(f'testpmd ended\n{proc.tail(self.log, 40)}')
            return self.counters()[which] >= least
        try:
            proc.until(enough, timeout, f'testpmd counts {least} packets', 0.2)
        except TimeoutError as e:
            raise TimeoutError(f'{e}\n{proc.tail(self.log, 40)}') from None

    def close(self):
        proc.kill(self.process)
