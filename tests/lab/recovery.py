# SPDX-License-Identifier: BSD-3-Clause
"""A guest that writes and verifies without end while its disk's daemon is killed again and again.

    churn = Churn(guest).start()
    for ...:
        strike(store, rng)
        churn.must_move()
    churn.finish()
"""
import random
import re
import time

from . import proc

# A pass writes each block of its part once, in random order with reads between, and verifies
# what it wrote, partly while it writes.
FIO = ('fio --name=v --filename={device} --rw=randrw --bssplit=4k/70:64k/20:512k/10 --iodepth=32 '
       '--direct=1 --ioengine=libaio --size={size} --verify=crc32c --verify_backlog=64 '
       '--do_verify=1 --verify_fatal=1 --verify_state_save=0 --randseed=$pass {more}')

# A SCSI host that starts again says so by a unit attention, which Linux mentions; and the clocks of
# guests under TCG on a busy machine are what they are.
HARMLESS = re.compile('Power-on or device reset occurred$|clocksource: |sched_clock: |'
                      r'\bTSC |hrtimer: interrupt took|^$')


class Churn:
    """fio, pass after pass."""

    def __init__(self, guest, device='/dev/vda', size='24m', jobs=1):
        self.guest = guest
        self.disk = device.rpartition('/')[2]
        self.stopper = f'/tmp/stop-{self.disk}'
        self.passes = f'/tmp/passes-{self.disk}'
        more = f'--numjobs={jobs} --offset_increment={size} --group_reporting' * (jobs > 1)
        self.fio = FIO.format(device=device, size=size, more=more)
        self.job = None

    def start(self):
        """After a reboot of the guest as well."""
        self.guest.run('cd /tmp && dmesg -c >/dev/null 2>&1; '
                       f'rm -f {self.stopper}; echo 0 > {self.passes}')
        self.job = self.guest.background(
            f'cd /tmp; pass=0; while [ ! -e {self.stopper} ]; do pass=$((pass + 1)); '
            f'{self.fio} || exit 1; echo $pass > {self.passes}; done')
        return self

    def _completed(self):
        """Requests that the guest's kernel has had answers to."""
        n = self.guest.run(f'cat /sys/block/{self.disk}/stat').output.split()
        return int(n[0]) + int(n[4])

    def must_move(self, timeout=60):
        """Requests are completed, and fio has found nothing wrong."""
        before = self._completed()
        proc.until(lambda: self.job.status() is not None or self._completed() > before, timeout,
                   f'{self.guest}: a request completes')
        if self.job.status() is not None:
            raise RuntimeError(f'{self.guest}: fio ended:\n{self.job.output()}'
                               + self.guest.run('dmesg | tail -n 30').output)

    def finish(self, timeout=120):
        """The pass under way is finished and verified; returns the number of passes."""
        self.guest.run(f'touch {self.stopper}')
        self.job.wait(timeout)
        pending = self.guest.run(f'cat /sys/block/{self.disk}/inflight').output.split()
        said = [line for line in self.guest.run('dmesg').output.splitlines()
                if not HARMLESS.search(line)]
        if pending != ['0', '0'] or said:
            raise RuntimeError(f'{self.guest}: pending {pending}, dmesg:\n' + '\n'.join(said))
        return int(self.guest.run(f'cat {self.passes}').output)


def strike(store, rng, longest=1.0, gently=False):
    """Ends a daemon at a random moment and starts it again; returns how many requests it had
    under way shortly before, or None where nobody could be asked."""
    time.sleep(rng.uniform(0, longest))
    try:
        under_way = sum(d['in_flight'] for d in store.ctl('devices'))
    except RuntimeError:
        under_way = None
    if gently:
        status = store.stop()
        if status:
            raise RuntimeError(f'slipring ended with {status} on SIGTERM')
    else:
        store.kill()
    store.start()
    return under_way


def wait_running(store, device, timeout=60):
    return proc.until(lambda: store.device(device)['state'] == 'running', timeout,
                      f'{device} is running')


def kills(store, device, churn, rounds, rng=None, longest=1.0, report=lambda *_: None):
    """So many strikes; some fall into the time in which the front-end reconnects, and some are
    SIGTERM. Returns what was under way at each."""
    rng = rng or random.Random()
    seen = []
    for i in range(rounds):
        gently = rng.random() < 0.15
        n = strike(store, rng, longest, gently)
        if rng.random() < 0.75:
            wait_running(store, device)
            churn.must_move()
        seen.append(n)
        report(i + 1, n, gently)
    wait_running(store, device)
    churn.must_move()
    return seen
