# SPDX-License-Identifier: BSD-3-Clause
"""Traffic between two machines, and what must be true of it. Speeds are never judged."""
import json
import re

from lab.transfer import listening, transfer


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
    b.run('iperf3 -s -D > /dev/null')
    listening(b, 5201)


def arrives_unchanged(a, b, address, mib):
    t = transfer(a, b, address, mib)
    assert t.sent == t.received


def iperf(a, address, *options, seconds=2):
    """Runs a client on a; returns iperf3's closing figures."""
    words = ' '.join(options)
    out = a.run(f'iperf3 -c {address} -t {seconds} --connect-timeout 5000 --json {words}',
                timeout=seconds + 30, check=False).output
    report = json.loads(out)
    assert 'error' not in report, report['error']
    return report['end']


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

    def answered(self):
        """The numbers of the requests that were answered."""
        return [int(n) for n in re.findall(r'icmp_seq=(\d+) ttl', self.job.output())]

    def __exit__(self, kind, *rest):
        if kind:
            return
        before = max(self.answered(), default=0)
        self.machine.run('sleep 1')
        answered = self.answered()
        assert max(answered, default=0) > before, 'they still talk'
        lost = set(range(1, max(answered))) - set(answered)
        assert not lost, f'no answer to {len(lost)} of {max(answered)}: {sorted(lost)[:20]}'
        self.job.kill()
