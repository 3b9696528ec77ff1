# SPDX-License-Identifier: BSD-3-Clause
"""Traffic between two machines, and what must be true of it. Speeds are never judged."""
import json
import re


def ping(a, address, *options, count=3):
    """Every request is answered."""
    words = ' '.join(options)
    out = a.run(f'ping -n -c {count} -i 0.2 -W 5 {words} {address}', check=False).output
    assert f'{count} packets transmitted, {count} received' in out, out
    return out


def reachable(a, address, seconds=20):
    """Until the first answer, at most so long; for machines that are just coming back."""
    a.run(f'for i in $(seq {seconds * 2}); do ping -n -c 1 -W 1 {address} >/dev/null && exit 0; '
          'sleep 0.3; done; exit 1', timeout=seconds * 2)


def iperf_server(b):
    """Starts one that stays; returns when it listens."""
    b.run('pgrep -x iperf3 >/dev/null || iperf3 -s -D >/dev/null; '
          'for i in $(seq 100); do grep -q :1451 /proc/net/tcp6 /proc/net/tcp && exit 0; '
          'sleep 0.05; done; exit 1')


def iperf(a, address, *options, seconds=2):
    """Runs a client on a; returns iperf3's closing figures."""
    words = ' '.join(options)
    out = a.run(f'iperf3 -c {address} -t {seconds} --connect-timeout 5000 --json {words}',
                timeout=seconds + 30, check=False).output
    report = json.loads(out)
    assert 'error' not in report, report['error']
    return report['end']


def send_bytes(a, b, address, mib, timeout=180):
    """Sends random bytes from a to b, both guests; b answers with the checksum of what it
    got, which must be that of what a has sent."""
    b.run('printf "#!/bin/sh\nexec md5sum\n" > /tmp/sum; chmod +x /tmp/sum')
    receiver = b.background('busybox nc -l -p 5000 -e /tmp/sum')
    b.run('for i in $(seq 100); do grep -q :1388 /proc/net/tcp6 /proc/net/tcp && exit 0; '
          'sleep 0.05; done; exit 1')
    a.run('rm -f /tmp/bytes; mkfifo /tmp/bytes')
    total = a.background('md5sum < /tmp/bytes')
    received = a.run(f'head -c {mib}M /dev/urandom | tee /tmp/bytes | busybox nc {address} 5000',
                     timeout=timeout).output
    receiver.wait()
    assert received.split() == total.wait().output.split()


class Bystanders:
    """Two machines that talk all the time while something happens to others:

        with Bystanders(c, d_address):
            ...

    Not one of their packets may get lost."""

    def __init__(self, machine, address):
        self.machine = machine
        self.address = address

    def __enter__(self):
        self.job = self.machine.background(f'ping -n -i 0.02 {self.address}')
        return self

    def __exit__(self, kind, *rest):
        self.job.kill('INT')
        if kind:
            return
        out = self.job.wait(10, check=False).output
        sent, received = map(int, re.search(r'(\d+) packets transmitted, (\d+) received',
                                            out).groups())
        # The last request may still be under way when ping is told to end.
        assert sent > 10 and sent - received <= 1, out[-600:]
