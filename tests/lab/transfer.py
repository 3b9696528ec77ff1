# SPDX-License-Identifier: BSD-3-Clause
"""A file goes from one machine to another; both say what its checksum is.

busybox nc only makes the connection and then becomes cat, which moves large blocks and ends
the connection properly. (nc's own loop moves 1 KiB at a time.)
"""
import time
from collections import namedtuple

PORT = 5202
Transfer = namedtuple('Transfer', 'sent received seconds')


def listening(machine, port):
    """Waits until somebody there listens on a TCP port."""
    machine.run(f'for i in $(seq 100); do grep -q ":{port:04X} 0" /proc/net/tcp6 /proc/net/tcp '
                '&& exit 0; sleep 0.05; done; exit 1')


def checksum(machine, path, timeout):
    size, digest = machine.run(f'stat -c %s {path}; sha256sum < {path}',
                               timeout=timeout).output.split()[:2]
    return f'{size} bytes, sha256 {digest}'


def transfer(a, b, address, mib, timeout=300):
    source, target = f'{a.scratch}/sent', f'{b.scratch}/received'
    a.run(f'head -c {mib << 20} /dev/urandom > {source}', timeout=timeout)
    sent = checksum(a, source, timeout)
    server = b.background(
        f'exec {b.busybox} nc -l -p {PORT} -e /bin/sh -c "exec cat > {target}"')
    listening(b, PORT)
    began = time.monotonic()
    a.run(f'{a.busybox} nc {address} {PORT} -e /bin/sh -c "exec cat {source}"', timeout=timeout)
    server.wait(timeout)
    seconds = time.monotonic() - began
    received = checksum(b, target, timeout)
    b.run(f'rm {target}')
    a.run(f'rm {source}')
    return Transfer(sent, received, seconds)
