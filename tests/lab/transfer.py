# SPDX-License-Identifier: BSD-3-Clause
"""A file goes from one machine to another; both say what its checksum is.

iperf3 moves it: it is in every guest, and reads and writes large blocks. A pipe of small
tools would measure the guest's context switches.
"""
import time
from collections import namedtuple

PORT = 5202
Transfer = namedtuple('Transfer', 'sent received seconds')


def listening(machine, port):
    """Waits until somebody there listens on a TCP port."""
    machine.run(f'for i in $(seq 100); do grep -q ":{port:04X} 0" /proc/net/tcp6 /proc/net/tcp '
                '&& exit 0; sleep 0.05; done; exit 1')


def transfer(a, b, address, mib, timeout=300):
    source, target = f'{a.scratch}/sent', f'{b.scratch}/received'
    sent = a.run(f'head -c {mib}M /dev/urandom > {source}; sha256sum < {source}',
                 timeout=timeout).output.split()[0]
    server = b.background(f'iperf3 -s -1 -p {PORT} -F {target}')
    listening(b, PORT)
    began = time.monotonic()
    # It ends with the file.
    a.run(f'iperf3 -c {address} -p {PORT} -t {timeout} -F {source}', timeout=timeout)
    server.wait()
    seconds = time.monotonic() - began
    received = b.run(f'sha256sum < {target}', timeout=timeout).output.split()[0]
    b.run(f'rm {target}')
    a.run(f'rm {source}')
    return Transfer(sent, received, seconds)
