# SPDX-License-Identifier: BSD-3-Clause
"""The second half of scripts/demo: everything is built, now show it."""
import argparse
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time

from . import proc
from .disk import Disk
from .nic import Nic
from .qemu import Qemu
from .storage import Store, file_of
from .switch import Switch
from .transfer import transfer
from .uml import Uml

FILE_MIB = 64
SECONDS = 3  # of iperf3 each way
DISK_MIB = 256


def say(what, text):
    print(f'{what:10} {text}', flush=True)


def bits(n):
    """1234567890 -> '1.23 Gbit/s'"""
    for unit in ('bit/s', 'kbit/s', 'Mbit/s'):
        if n < 1000:
            return f'{n:.3g} {unit}'
        n /= 1000
    return f'{n:.2f} Gbit/s'


def ping(a, address):
    out = a.run(f'ping -n -c 20 -i 0.05 {address}').output
    low, mean, high = map(float, re.search(r'= ([\d.]+)/([\d.]+)/([\d.]+)/', out).groups())
    return f'{mean:.2f} ms (of 20: {low:.2f} to {high:.2f})'


def throughput(a, address, *options):
    out = a.run(f'iperf3 -c {address} -t {SECONDS} --json {" ".join(options)}',
                timeout=SECONDS + 30).output
    return bits(json.loads(out)['end']['sum_received']['bits_per_second'])


def file_line(t):
    if t.sent != t.received:
        return f'DIFFERENT: sent {t.sent}; received {t.received}'
    return f'{FILE_MIB} MiB in {t.seconds:.1f} s, unchanged: {t.sent[:t.sent.index("sha") + 19]}...'


def port_table(switch):
    lines = ['port       to guest       from guest     dropped  malformed']
    for p in switch.ports().values():
        c = p['counters']
        lines.append(f'{p["name"]:10} {c["rx_frames"]:<14} {c["tx_frames"]:<14} '
                     f'{c["rx_dropped"] + c["tx_dropped"]:<8} {c["tx_bad"]}')
    return lines


def measure(a, b, switch):
    """Returns (table, everything is well)."""
    b.run('iperf3 -s -D')
    rows = [('boot', f'a {a.boot_seconds:.1f} s, b {b.boot_seconds:.1f} s')]
    say('measuring', 'ping')
    rows.append(('ping', ping(a, '10.0.0.2')))
    say('measuring', f'iperf3, {SECONDS} s each way')
    rows.append(('a to b', throughput(a, '10.0.0.2')))
    rows.append(('b to a', throughput(a, '10.0.0.2', '-R')))
    say('measuring', f'a file of {FILE_MIB} MiB')
    file = transfer(a, b, '10.0.0.2', FILE_MIB)
    rows.append(('file', file_line(file)))
    return [f'{k:10} {v}' for k, v in rows] + [''] + port_table(switch), file.sent == file.received


def disk_written(a):
    """Makes a file system on a's disk and writes a file; returns its checksum."""
    a.run('mkfs.ext4 -q /dev/vda && mkdir -p /tmp/disk && mount /dev/vda /tmp/disk', timeout=60)
    return a.run(f'head -c {FILE_MIB << 20} /dev/urandom > /tmp/disk/file && sync &&'
                 ' sha256sum < /tmp/disk/file', timeout=60).output


def disk_read(a):
    return a.run('mkdir -p /tmp/disk && mount /dev/vda /tmp/disk && sha256sum < /tmp/disk/file',
                 timeout=60).output


def survives_a_kill(a):
    """Returns (line, everything is well)."""
    say('disk', f"a makes a file system, writes {FILE_MIB} MiB, is killed, comes back")
    before = disk_written(a)
    a.kill()
    a.boot()
    after = disk_read(a)
    text = f'unchanged: sha256 {after[:16]}...' if after == before else \
        f'DIFFERENT: written {before}; read {after}'
    return f'disk       {FILE_MIB} MiB, {a.name} killed and back after {a.boot_seconds:.1f} s, {text}', \
        after == before


def stay(guests, switch):
    say('staying', 'until Ctrl-C')
    for g in guests:
        print(f'  guest {g.name}: scripts/demo --console {g.shell_path}'
              f'   (or screen, or socat -,raw,echo=0 {g.shell_path})')
    ctl = f'build/src/cli/slipring ctl --socket {switch.control}'
    print(f'  switch:  {ctl} ports\n           {ctl} ports --json\n'
          f'           {ctl} port a\n  logs:    {switch.log}', flush=True)
    while switch.process.poll() is None:
        time.sleep(0.5)
    say('switch', f'has ended: {proc.tail(switch.log, 3)}')


def show(options, workdir):
    kind = Qemu if options.qemu else Uml
    ports = [f'vhost-user,name={n},socket={workdir}/{n}.sock' for n in 'ab']
    switch = Switch(os.environ['SLIPRING'], workdir, ports)
    disk = f'{workdir}/disk.sock'
    image = file_of(f'{workdir}/disk.img', DISK_MIB)
    serve = ['blk', f'--socket-path={disk}', f'--blk-file={image}']
    store = Store(os.environ['SLIPRING'], workdir, [disk], *serve)
    devices = {n: [Nic(f'{workdir}/{n}.sock')] for n in 'ab'}
    devices['a'].append(Disk(disk))
    guests = [kind(n, devices[n], workdir, shell=options.stay) for n in 'ab']
    try:
        switch.start()
        say('switch', 'slipring switch ' + ' '.join(f'--port {p}' for p in ports))
        store.start()
        say('disk', 'slipring ' + ' '.join(serve))
        say('guests', f'booting two {kind.kind} guests')
        for g in guests:
            g.start()
        for i, g in enumerate(guests, 1):
            g.wait().address(f'10.0.0.{i}/24')
        table, well = measure(*guests, switch)
        line, kept = survives_a_kill(guests[0])
        print('', *table, '', line, '', sep='\n', flush=True)
        if options.stay:
            stay(guests, switch)
        return 0 if well and kept else 1
    finally:
        for g in guests:
            g.kill()
        switch.close()
        store.close()


def main():
    p = argparse.ArgumentParser(prog='scripts/demo')
    p.add_argument('--qemu', action='store_true')
    p.add_argument('--stay', action='store_true')
    options = p.parse_args()
    for s in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(s, lambda *_: sys.exit(1))
    workdir = tempfile.mkdtemp(prefix='slipring-demo-', dir='/tmp')
    try:
        sys.exit(show(options, workdir))
    except KeyboardInterrupt:
        sys.exit(0 if options.stay else 130)
    except (RuntimeError, TimeoutError) as e:
        sys.exit(f'scripts/demo: {e}\n--- end of the log of slipring:\n'
                 + proc.tail(f'{workdir}/slipring.log'))
    finally:
        shutil.rmtree(workdir, ignore_errors=True)


if __name__ == '__main__':
    main()
