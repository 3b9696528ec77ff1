# SPDX-License-Identifier: BSD-3-Clause
"""A guest's SCSI host, as guests use it: sg3-utils on every kind of unit, file systems and
fio with verify, units that come, go and grow under load, reservations between two guests,
and recovery.

Linux calls unit n of a target n up to 255 and 16384 + n above: there it takes the number as
it stands in the addressing format. It has no reset of a target or a host for virtio-scsi
(sg_reset -t, -b and -H are refused before they reach the device), and never lets a command
run into a time-out: its driver asks for more time, again and again. What real I/O
under an abort does is therefore seen with sg_reset -d, a reset of the unit.
"""
import contextlib
import os
import re

import pytest
from lab import proc
from lab.disk import Disk
from lab.storage import allocated, file_of

# How sg3-utils end when a unit refuses; see sg3_utils(8).
NOT_READY, MEDIUM, ILLEGAL, ATTENTION, DATA_PROTECT, BAD_OPCODE = 2, 3, 5, 6, 7, 9
MISCOMPARE, OUT_OF_RANGE, CONFLICT = 14, 22, 24


class Board:
    """A daemon with disks and SCSI hosts by a configuration, and guests on it."""

    def __init__(self, world):
        self.world = world
        self.store = None

    def serve(self, disks, threads=1, **hosts):
        """disks: {name: 'type: mem, ...'}; a host is a list of units."""
        sockets = {h: self.world.socket(h) for h in hosts}
        lines = [f'control: {{socket: {self.world.dir}/store.ctl}}', f'threads: {threads}',
                 'disks:']
        lines += [f'  - {{name: {n}, {keys}}}' for n, keys in disks.items()]
        lines += ['scsi:']
        for h, units in hosts.items():
            texts = ', '.join(f'"{u}"' for u in units)
            lines.append(f'  - {{name: {h}, socket: {sockets[h]}, luns: [{texts}]}}')
        path = f'{self.world.dir}/store.yaml'
        with open(path, 'w') as f:
            f.write('\n'.join(lines) + '\n')
        self.store = self.world.store('serve', path, sockets=sockets.values())
        return self.store

    def guest(self, kind='UML', host='h', **disk):
        device = Disk(self.world.socket(host), kind='scsi', **disk)
        g = self.world.new_guest(kind, host, device)
        g.cpus = device.queues  # Linux uses no more queues than that
        return g.boot()

    def image(self, name, mib):
        return file_of(f'{self.world.dir}/{name}.img', mib)


@pytest.fixture
def board(world):
    return Board(world)


def linux_lun(lun):
    return lun if lun < 256 else 16384 + lun


def node(guest, target, lun, kind='block'):
    """The unit's block device, once it is there."""
    where = f'/sys/class/scsi_device/*:0:{target}:{linux_lun(lun)}/device/{kind}'
    name = guest.run(f'for i in $(seq 100); do ls {where} 2>/dev/null && exit 0; sleep 0.1; done; '
                     f'echo no unit {target}:{lun}; lsblk -S; exit 1').output.strip()
    return f'/dev/{name}'


def generic(guest, target, lun):
    """The same for commands that are none of a block device's business."""
    return node(guest, target, lun, 'scsi_generic')


def gone(guest, target, lun):
    """Until the guest has no such unit any more."""
    where = f'/sys/class/scsi_device/*:0:{target}:{linux_lun(lun)}'
    guest.run(f'for i in $(seq 100); do ls -d {where} >/dev/null 2>&1 || exit 0; sleep 0.1; done; '
              f'echo unit {target}:{lun} is there; exit 1')


def sg(guest, command, status=0):
    """Runs one of sg3-utils, which must end with that status; returns its output."""
    r = guest.run(command, check=False)
    assert r.status == status, f'{command}: exit {r.status}, expected {status}\n{r.output}'
    return r.output


def field(text, name):
    """The value in "name=value" or "name: value"."""
    m = re.search(rf'{re.escape(name)}\s*[=:]\s*(\S+)', text)
    assert m, f'no {name} in {text}'
    return m.group(1).rstrip(',')


def attribute(guest, device, path):
    return guest.run(f'cat /sys/block/{os.path.basename(device)}/{path}').output.strip()


def fio(device, *options, size='24m', name='v'):
    """The command line: random, several block sizes, direct; fails when a byte is wrong."""
    words = ' '.join(options)
    return (f'cd /tmp && fio --name={name} --filename={device} --rw=randrw '
            f'--bssplit=4k/70:64k/20:1m/10 --iodepth=32 --direct=1 --ioengine=libaio --size={size} '
            f'--verify=crc32c --do_verify=1 --verify_fatal=1 {words}')


@contextlib.contextmanager
def load(guest, device, name, size='8m', *options):
    """fio runs on that device, again and again, until the end of the block; it must not see
    an error, and goes round at least once before and once after."""
    run = fio(device, *options, size=size, name=name)
    guest.run(f'rm -f /tmp/{name}.*; (while [ ! -e /tmp/{name}.stop ]; do '
              f'{run} >/tmp/{name}.log 2>&1 || {{ echo $? >/tmp/{name}.failed; break; }}; '
              f'echo >>/tmp/{name}.rounds; done; echo >/tmp/{name}.end) >/dev/null 2>&1 &')
    guest.run(f'until [ -e /tmp/{name}.rounds -o -e /tmp/{name}.end ]; do sleep 0.1; done',
              timeout=90)
    try:
        yield
        guest.run(f'before=$(cat /tmp/{name}.rounds | wc -l); until [ -e /tmp/{name}.end ] || '
                  f'[ $(cat /tmp/{name}.rounds | wc -l) -gt $before ]; do sleep 0.1; done',
                  timeout=90)
    finally:
        guest.run(f'touch /tmp/{name}.stop')
    guest.run(f'until [ -e /tmp/{name}.end ]; do sleep 0.1; done; [ ! -e /tmp/{name}.failed ] || '
              f'{{ cat /tmp/{name}.log; dmesg | tail -20; exit 1; }}', timeout=90)


def make_and_check(guest, kind, device):
    """A file system is made, filled, unmounted and found sound, three times."""
    make = {'ext4': 'mkfs.ext4 -qF', 'xfs': 'mkfs.xfs -qf'}[kind]
    check = {'ext4': 'fsck.ext4 -fn', 'xfs': 'xfs_repair -n'}[kind]
    guest.run(f'''set -e; {make} {device}; mkdir -p /tmp/m; rm -f /tmp/sums
        for round in 1 2 3; do
            mount {device} /tmp/m
            [ ! -e /tmp/sums ] || (cd /tmp/m && sha256sum -c /tmp/sums)
            for i in 1 2 3 4; do head -c 2000000 /dev/urandom >/tmp/m/$round.$i; done
            rm /tmp/m/$round.2; sync; (cd /tmp/m && sha256sum $round.* >>/tmp/sums)
            umount /tmp/m
            {check} {device}
        done''', timeout=90)


# One daemon and one guest serve the tests of single commands: they change nothing for others.

@pytest.fixture(scope='module')
def shelf(module_world):
    """Units of every kind: a file in 512 and in 4096 byte blocks, high numbers, read-only, with
    protection."""
    b = Board(module_world)
    b.serve({'a': f'type: file, path: {b.image("a", 320)}',
             'b': f'type: file, path: {b.image("b", 320)}, block-size: 4096',
             'c': 'type: mem, size: 64M', 'd': 'type: mem, size: 64M, block-size: 4096',
             'e': 'type: mem, size: 64M', 'f': 'type: mem, size: 32M'},
            h=['0:0=a,serial=Sr-0815,vendor=ACME,product=Brick', '0:1=b', '0:300=c', '0:16383=f',
               '3:0=d,protection=on', '255:0=e,read-only=on'])
    b.unit = b.guest()
    return b


@pytest.fixture
def one(request, shelf):
    """The guest of the shelf."""
    request.node.worlds = [shelf.world]
    return shelf.unit


SIZES = pytest.mark.parametrize('lun, block', [(0, 512), (1, 4096)])


def test_linux_finds_every_unit_where_it_is(one):
    units = {(0, 0): 512, (0, 1): 4096, (0, 300): 512, (0, 16383): 512, (3, 0): 4096, (255, 0): 512}
    for (target, lun), block in units.items():
        d = node(one, target, lun)
        assert attribute(one, d, 'queue/logical_block_size') == str(block)
        assert attribute(one, d, 'ro') == str(int(target == 255))
        assert attribute(one, d, 'queue/rotational') == '0'
        assert int(attribute(one, d, 'queue/discard_max_bytes')) > 0
    listed = [line.split() for line in one.run('lsblk -Sno HCTL,VENDOR,MODEL,SERIAL')
              .output.splitlines()]
    assert ['0:0:0:0', 'ACME', 'Brick', 'Sr-0815'] in listed
    assert ['0:0:0:16684', 'SLIPRING', 'DISK', 'c'] in listed and len(listed) == len(units)
    assert attribute(one, node(one, 0, 0), 'size') == str(320 * 2048)
    assert attribute(one, node(one, 3, 0), 'integrity/format') == 'T10-DIF-TYPE1-CRC'


def test_inquiry_and_its_pages(one):
    d = node(one, 0, 0)
    standard = sg(one, f'sg_inq {d}')
    assert field(standard, 'Vendor identification') == 'ACME'
    assert field(standard, 'Product identification') == 'Brick'
    assert field(standard, 'PDT') == '0' and field(standard, 'CmdQue') == '1'
    pages = sg(one, f'sg_vpd -p 0 {d}')
    for p in ('[sn]', '[di]', '[bl]', '[bdc]', '[lbpv]'):
        assert p in pages
    assert field(sg(one, f'sg_vpd -p 0x80 {d}'), 'Product serial number') == 'Sr-0815'
    assert 'Non-rotating' in sg(one, f'sg_vpd -p 0xb1 {d}')
    assert field(sg(one, f'sg_vpd -p 0xb2 {d}'), 'LBPU') == '1'
    assert int(field(sg(one, f'sg_vpd -p 0xb0 {d}'), 'Maximum unmap LBA count'), 0) > 0
    sg(one, f'sg_inq -p 0xc7 {d}', ILLEGAL)


def test_every_unit_has_a_name_of_its_own(one):
    names = [re.search(r'0x[0-9a-f]{16}', sg(one, f'sg_vpd -p 0x83 {node(one, t, n)}')).group()
             for t, n in ((0, 0), (0, 1), (0, 300), (0, 16383), (3, 0), (255, 0))]
    assert len(set(names)) == 6


def test_all_units_of_a_target_are_reported(one):
    text = sg(one, f'sg_luns {node(one, 0, 300)}')
    assert re.findall(r'^ +([0-9a-f]{16})$', text, re.M) == [
        '0000000000000000', '0001000000000000', '412c000000000000', '7fff000000000000']
    text = sg(one, f'sg_luns {generic(one, 255, 0)}')
    assert re.findall(r'^ +([0-9a-f]{16})$', text, re.M) == ['0000000000000000']


@SIZES
def test_capacity(one, lun, block):
    d = node(one, 0, lun)
    for options in ('', '-l'):
        text = sg(one, f'sg_readcap {options} {d}')
        assert field(text, 'Number of logical blocks') == str((320 << 20) // block)
        assert field(text, 'Logical block length') == str(block)
    assert field(text, 'lbpme') == '1'
    assert field(text, 'prot_en') == '0'
    assert field(sg(one, f'sg_readcap -l {node(one, 3, 0)}'), 'prot_en') == '1'


def test_mode_pages_are_read_and_changed(one):
    d = node(one, 0, 0)
    for options in ('', '-6'):
        text = sg(one, f'sg_modes {options} -a {d}')
        for page in ('Read-Write error recovery', 'Caching', 'Control'):
            assert page in text
    assert field(sg(one, f'sg_modes {node(one, 255, 0)}'), 'WP') == '1'
    cache = '/sys/class/scsi_disk/0:0:0:0/cache_type'
    assert attribute(one, d, 'queue/write_cache') == 'write back'
    one.run(f'echo "write through" > {cache}')
    assert one.run(f'cat {cache}').output.strip() == 'write through'
    one.run(fio(d, size='4m'))
    one.run(f'echo "write back" > {cache}')
    assert one.run(f'cat {cache}').output.strip() == 'write back'
    # Saved pages and unknown ones are not there.
    sg(one, f'sg_modes -p 0x3e {d}', ILLEGAL)
    sg(one, f'sg_modes -c 3 -p 8 {d}', ILLEGAL)


def test_ready_stopped_started(one):
    d = node(one, 0, 300)
    ready = f'sg_raw {d} 00 00 00 00 00 00'
    read = f'sg_raw -r 512 {d} 28 00 00 00 00 00 00 00 01 00'
    sg(one, ready)
    assert 'No Sense' in sg(one, f'sg_requests {d}')
    sg(one, f'sg_start --stop {d}')
    try:
        sg(one, ready, NOT_READY)
        sg(one, read, NOT_READY)
    finally:
        sg(one, f'sg_start --start {d}')
    sg(one, ready)
    sg(one, read)
    for options in ('', '-S'):
        sg(one, f'sg_sync {options} {d}')


@SIZES
def test_verify(one, lun, block):
    d = node(one, 0, lun)
    one.run(f'cd /tmp && head -c 65536 /dev/urandom >x && head -c 65536 /dev/zero >z && '
            f'dd if=x of={d} bs=64k seek=4 oflag=direct')
    at, n = 4 * 65536 // block, 65536 // block
    for size in ('', '--16'):
        sg(one, f'sg_verify {size} --lba={at} --count={n} {d} </dev/null')
        compare = f'sg_verify {size} --lba={at} --count={n} --ndo=65536 {d} --in='
        sg(one, compare + '/tmp/x')
        sg(one, compare + '/tmp/z', MISCOMPARE)


@SIZES
def test_compare_and_write_is_one_step(one, lun, block):
    d = node(one, 0, lun)
    one.run(f'cd /tmp && head -c {block} /dev/urandom >old && head -c {block} /dev/urandom >new && '
            f'dd if=old of={d} bs={block} seek=64 oflag=direct && cat old new >both')
    swap = f'sg_compare_and_write --in=/tmp/both --lba=64 --num=1 --xferlen={2 * block} {d}'
    sg(one, swap)
    one.run(f'dd if={d} bs={block} skip=64 count=1 iflag=direct | cmp - /tmp/new')
    assert 'offset' in sg(one, swap, MISCOMPARE)
    one.run(f'dd if={d} bs={block} skip=64 count=1 iflag=direct | cmp - /tmp/new')


@SIZES
def test_unmap_and_write_same(one, lun, block):
    d = node(one, 0, lun)
    n = 65536 // block
    one.run(f'cd /tmp && head -c {block} /dev/urandom >x && '
            f'dd if=/dev/urandom of={d} bs=64k count=4 oflag=direct')

    def zeroes(at):
        return one.run(f'dd if={d} bs=64k skip={at} count=1 iflag=direct 2>/dev/null | '
                       'tr -d "\\000" | wc -c').output.strip() == '0'
    sg(one, f'sg_unmap -f --lba=0 --num={n} {d}')
    assert zeroes(0) and not zeroes(1)
    sg(one, f'sg_write_same --16 --unmap --lba={n} --num={n} --xferlen={block} {d}')
    assert zeroes(1) and not zeroes(2)
    for size in ('--10', '--16'):
        sg(one, f'sg_write_same {size} --in=/tmp/x --lba={2 * n} --num={n} --xferlen={block} {d}')
        one.run(f'for i in $(seq {n}); do cat /tmp/x; done >/tmp/all; '
                f'dd if={d} bs=64k skip=2 count=1 iflag=direct | cmp - /tmp/all')
        assert not zeroes(3)
        one.run(f'dd if=/dev/zero of={d} bs=64k seek=2 count=1 oflag=direct')
    # Linux's own way to the same commands.
    one.run(f'blkdiscard -f -o 0 -l 128k {d} && blkdiscard -f -z -o 196608 -l 64k {d}')
    assert zeroes(3)


def test_what_is_unmapped_gives_its_room_back(one, shelf):
    d, path = node(one, 0, 1), f'{shelf.world.dir}/b.img'
    one.run(f'dd if=/dev/urandom of={d} bs=1M seek=256 count=32 oflag=direct', timeout=60)
    before = allocated(path)
    one.run(f'blkdiscard -f -o 256M -l 32M {d}')
    assert allocated(path) <= before - (32 << 20)


def test_what_is_offered_works_and_nothing_else(one):
    d = node(one, 0, 0)
    offered = sg(one, f'sg_opcodes {d}')
    for name in ('Read(16)', 'Write same(16)', 'Compare and write', 'Persistent reserve out, '
                 'preempt and abort', 'Unmap', 'Report supported task management functions'):
        assert name in offered
    assert 'Logical unit reset' in sg(one, f'sg_opcodes -t {d}')
    assert 'conforming' in sg(one, f'sg_opcodes -o 0x42 {d}')
    assert 'NOT supported' in sg(one, f'sg_opcodes -o 0x04 {d}')
    assert 'Invalid' in sg(one, f'sg_raw {d} 04 00 00 00 00 00', BAD_OPCODE)
    # A read behind the end, in all sizes that can say so.
    last = (320 << 20) // 512
    for cdb in (f'28 00 {last:08x} 00 00 01 00', f'a8 00 {last:08x} 00 00 00 01 00 00',
                f'88 00 00 00 00 00 {last:08x} 00 00 00 01 00 00'):
        words = re.sub(r'([0-9a-f]{2})(?=[0-9a-f])', r'\1 ', cdb)
        assert 'out of range' in sg(one, f'sg_raw -r 512 {d} {words}', OUT_OF_RANGE)


def test_a_read_only_unit_refuses_each_change(one):
    d = generic(one, 255, 0)
    for cdb, size in (('2a 00 00 00 00 00 00 00 01 00', 512), ('0a 00 00 00 01 00', 512),
                      ('42 00 00 00 00 00 00 00 18 00', 24), ('41 00 00 00 00 00 00 00 01 00', 512),
                      ('89 00 00 00 00 00 00 00 00 00 00 00 00 01 00 00', 1024)):
        said = sg(one, f'sg_raw -s {size} -i /dev/zero {d} {cdb}', DATA_PROTECT)
        assert 'Write protected' in said
    one.run(f'dd if={node(one, 255, 0)} of=/dev/null bs=1M iflag=direct')


@SIZES
@pytest.mark.parametrize('kind', ['ext4', 'xfs'])
def test_file_systems(one, kind, lun, block):
    make_and_check(one, kind, node(one, 0, lun))


@pytest.mark.parametrize('target, lun', [(0, 0), (0, 1), (0, 300), (0, 16383), (3, 0)])
def test_fio(one, target, lun):
    """(3, 0) carries protection information, which Linux makes and checks."""
    one.run(fio(node(one, target, lun)), timeout=60)


def test_a_reset_unit_serves_on(one):
    d, other = node(one, 0, 300), node(one, 0, 16383)
    with load(one, d, 'reset'), load(one, other, 'other'):
        for _ in range(5):
            sg(one, f'sg_reset -d {d}; sleep 0.2')
    # All commands of before are over, and who asks next is told why.
    one.run(fio(d, size='8m'))


# Units that come, go and change

MEM = 'type: mem, size: 64M'
FAULTY = MEM + ', fault-error-share: 0'  # until ctl says otherwise


@pytest.mark.parametrize('kind', ['UML', pytest.param('QEMU', marks=pytest.mark.long)])
def test_units_come_go_and_grow_while_others_are_busy(board, kind):
    """Nobody rescans: the events make the devices appear, disappear and take their new size."""
    image = board.image('grows', 64)
    store = board.serve({'a': MEM, 'b': MEM, 'c': MEM, 'grows': f'type: file, path: {image}'},
                        h=['0:0=a', '2:2=grows'])
    g = board.guest(kind)
    grows = node(g, 2, 2)
    with load(g, node(g, 0, 0), 'busy', size='2m'):
        store.ctl('resize', 'grows', '96M')
        g.run(f'for i in $(seq 100); do [ $(cat /sys/block/{grows[5:]}/size) = {96 * 2048} ] && '
              f'exit 0; sleep 0.1; done; cat /sys/block/{grows[5:]}/size; exit 1')
        g.run(f'dd if=/dev/urandom of={grows} bs=1M seek=90 count=6 oflag=direct')
        for target, lun in ((0, 1), (7, 0), (0, 300)):
            store.ctl('add-lun', 'h', f'{target}:{lun}=b')
            d = node(g, target, lun)
            g.run(fio(d, size='1m'), timeout=90)
            store.ctl('remove-lun', 'h', f'{target}:{lun}')
            gone(g, target, lun)
        # One that is in use goes as well; only its own user sees errors.
        store.ctl('add-lun', 'h', '0:1=c')
        run = fio(node(g, 0, 1), '--loops=1000', name='victim')
        g.run(f'({run} >/tmp/victim.log 2>&1; echo $? >/tmp/victim.end) >/dev/null 2>&1 & sleep 1')
        store.ctl('remove-lun', 'h', '0:1')
        gone(g, 0, 1)
        assert g.run('until [ -e /tmp/victim.end ]; do sleep 0.1; done; cat /tmp/victim.end',
                     timeout=90).output.strip() != '0'
        proc.until(lambda: len(store.device('h')['units']) == 2, 20, 'the unit is off')
        store.ctl('remove-disk', 'c')
    counters = store.device('h')['counters']
    assert counters['events'] >= 9 and counters['events_missed'] == 0


def test_a_guest_that_missed_events_looks_for_itself(board):
    """More of them than wait for a guest without room; it finds all units nevertheless."""
    disks = {f'd{i}': 'type: mem, size: 1M' for i in range(9)}
    store = board.serve(disks, h=['0:0=d0'])
    g = board.guest()
    g.freeze()
    for _ in range(40):
        store.ctl('add-lun', 'h', '0:1=d1')
        store.ctl('remove-lun', 'h', '0:1')
    for i in range(1, 9):
        store.ctl('add-lun', 'h', f'{i % 2}:{i}=d{i}' if i > 1 else '1:0=d1')
    assert store.device('h')['counters']['events_missed'] > 0
    g.thaw()
    for i in range(1, 9):
        node(g, *(i % 2, i) if i > 1 else (1, 0))
    gone(g, 0, 1)


# Two guests that share a disk

@pytest.fixture
def pair(board):
    """Guests on one disk, and its device in each."""
    board.serve({'a': FAULTY}, x=['0:0=a'], y=['5:1=a'])
    x, y = board.guest(host='x'), board.guest(host='y')
    return board, (x, node(x, 0, 0)), (y, node(y, 5, 1))


def persist(who, words, status=0):
    guest, device = who
    # The first command after another's change may be told so, and then has not happened.
    for _ in range(3):
        r = guest.run(f'sg_persist {words} {device}', check=False)
        if r.status != ATTENTION:
            break
    assert r.status == status, f'{guest} sg_persist {words}: exit {r.status}\n{r.output}'
    return r.output


def may(who, write):
    """Whether it may read or write, past all caches."""
    guest, device = who
    cdb = '2a' if write else '28'
    how = '-s 512 -i /dev/zero' if write else '-r 512'
    for _ in range(3):
        r = guest.run(f'sg_raw {how} {device} {cdb} 00 00 00 00 00 00 00 01 00', check=False)
        if r.status != ATTENTION:
            break
    assert r.status in (0, CONFLICT), r.output
    return r.status == 0


# type: may another that is registered (write, read), may one that is not?
RESERVATIONS = {
    1: ((False, True), (False, True)), 3: ((False, False), (False, False)),
    5: ((True, True), (False, True)), 6: ((True, True), (False, False)),
    7: ((True, True), (False, True)), 8: ((True, True), (False, False))}


def test_a_reservation_keeps_the_other_guest_away(pair):
    _, x, y = pair
    for kind, (registered, stranger) in RESERVATIONS.items():
        persist(x, '--out --register --param-sark=0x1111')
        persist(x, f'--out --reserve --param-rk=0x1111 --prout-type={kind}')
        # Where all that are registered hold it, it has no key of its own.
        key = '0x1111' if kind < 7 else '0x0'
        assert field(persist(y, '--in --read-reservation'), 'Key') == key
        assert may(x, True) and may(x, False)
        assert (may(y, True), may(y, False)) == stranger, kind
        persist(y, '--out --register --param-sark=0x2222')
        keys = persist(y, '--in --read-keys')
        assert '0x1111' in keys and '0x2222' in keys
        assert (may(y, True), may(y, False)) == registered, kind
        persist(y, f'--out --release --param-rk=0x2222 --prout-type={kind}')
        if kind < 7:  # there it was not y's to release
            assert (may(y, True), may(y, False)) == registered, kind
        persist(x, '--out --clear --param-rk=0x1111')
        assert may(y, True)
        assert 'NO registered' in persist(y, '--in --read-keys')


def test_a_guest_that_is_taken_for_dead_is_shut_out(pair):
    """What clusters do: the survivor takes over with PREEMPT AND ABORT."""
    board, x, y = pair
    persist(x, '--out --register --param-sark=0x1111')
    persist(y, '--out --register --param-sark=0x2222')
    persist(x, '--out --reserve --param-rk=0x1111 --prout-type=5')
    assert may(y, True)
    board.store.ctl('fault', 'a', 'ops=write,delay-ms=3600000')
    x[0].run(f'(dd if=/dev/urandom of={x[1]} bs=4k count=1 oflag=direct; echo $? >/tmp/end) '
             '>/dev/null 2>&1 &')
    proc.until(lambda: board.store.device('x')['in_flight'] == 1, 20, 'a write is stuck')
    persist(y, '--out --preempt-abort --param-rk=0x2222 --param-sark=0x1111 --prout-type=5')
    board.store.ctl('fault', 'a', 'delay-ms=0')
    assert '0x2222' in persist(x, '--in --read-reservation')
    assert not may(x, True) and may(x, False) and may(y, True)
    assert x[0].run('until [ -e /tmp/end ]; do sleep 0.1; done; cat /tmp/end').output != '0\n'
    full = persist(y, '--in --read-full-status')
    assert '0x2222' in full and '0x1111' not in full
    persist(y, '--out --clear --param-rk=0x2222')
    assert may(x, True)


def test_reservations_of_the_old_kind(pair):
    _, x, y = pair
    for reserve, release in (('16 00 00 00 00 00', '17 00 00 00 00 00'),
                             ('56 00 00 00 00 00 00 00 00 00', '57 00 00 00 00 00 00 00 00 00')):
        sg(x[0], f'sg_raw {x[1]} {reserve}')
        assert not may(y, True) and not may(y, False) and may(x, True)
        sg(x[0], f'sg_raw {x[1]} {release}')
        assert may(y, True)
    sg(x[0], f'sg_raw {x[1]} 16 00 00 00 00 00')
    assert not may(y, True)
    sg(y[0], f'sg_reset -d {y[1]}')
    assert may(y, True)


def test_two_guests_swap_each_others_words(pair):
    """Both count in one block with COMPARE AND WRITE; no step is lost."""
    _, x, y = pair
    x[0].run(f'dd if=/dev/zero of={x[1]} bs=512 count=1 oflag=direct')
    count = """cd /tmp; won=0; while [ $won -lt 40 ]; do
        dd if=%s of=old bs=512 count=1 iflag=direct 2>/dev/null
        n=$(head -c 8 old | tr -d "\\000"); printf "%%-8s" $((${n:-0} + 1)) >new
        dd if=/dev/zero bs=504 count=1 2>/dev/null >>new; cat old new >both
        sg_compare_and_write --in=both --lba=0 --num=1 --xferlen=1024 %s >/dev/null 2>&1
        case $? in 0) won=$((won + 1)) ;; 14|6) ;; *) exit 1 ;; esac
    done"""
    for g, d in (x, y):
        g.run('(' + count % (d, d) + '; echo $? >/tmp/end) >/dev/null 2>&1 &')
    for g, _ in (x, y):
        assert g.run('until [ -e /tmp/end ]; do sleep 0.1; done; cat /tmp/end',
                     timeout=60).output == '0\n'
    n = y[0].run(f'dd if={y[1]} bs=512 count=1 iflag=direct 2>/dev/null | head -c 8').output
    assert n.strip() == '80'


# Trouble

def test_a_reset_ends_commands_that_are_stuck(board):
    """Their disk answers in an hour; the unit's reset comes back at once, the commands are over
    and Linux sends them again, into the same disk. When that one is well again, nothing has been
    lost. The neighbour, on the same queues, never notices."""
    store = board.serve({'a': FAULTY, 'b': MEM}, h=['0:0=a', '0:1=b'])
    g = board.guest()
    d, other = node(g, 0, 0), node(g, 0, 1)
    with load(g, other, 'other'):
        g.run(f'echo 2 >/sys/block/{d[5:]}/device/timeout')
        store.ctl('fault', 'a', 'delay-ms=3600000')
        run = fio(d, size='4m', name='stuck')
        g.run(f'({run} >/tmp/stuck.log 2>&1; echo $? >/tmp/stuck.end) >/dev/null 2>&1 &')
        proc.until(lambda: store.device('h')['in_flight'] >= 16, 20, 'commands are stuck')
        for _ in range(2):
            before = store.device('h')['counters']['aborted']
            sg(g, f'sg_reset -d {d}')
            assert store.device('h')['counters']['aborted'] >= before + 16
            proc.until(lambda: store.device('h')['in_flight'] >= 16, 20, 'they are there again')
        g.run('[ ! -e /tmp/stuck.end ]')
        store.ctl('fault', 'a', 'delay-ms=0')
        end = g.run('until [ -e /tmp/stuck.end ]; do sleep 0.1; done; cat /tmp/stuck.*', timeout=60)
        assert end.output.splitlines()[0] == '0', end.output


def test_a_slow_disk_gets_more_time(board):
    """Linux asks for more time while our session lives: no error, no reset, as with any virtio
    disk; after the delay all is as it should be."""
    store = board.serve({'a': FAULTY}, h=['0:0=a'])
    g = board.guest()
    d = node(g, 0, 0)
    g.run(f'cd /sys/block/{d[5:]}/device; echo 1 >timeout; echo 1 >eh_timeout')
    store.ctl('fault', 'a', 'delay-ms=2500')
    g.run(f'dd if=/dev/urandom of={d} bs=64k count=1 oflag=direct', timeout=60)
    store.ctl('fault', 'a', 'delay-ms=0')
    g.run(fio(d, size='8m'), timeout=60)
    assert store.device('h')['counters']['aborted'] == 0


def test_a_mediums_error_is_the_guests_to_see(board):
    store = board.serve({'a': FAULTY, 'b': MEM}, h=['0:0=a', '0:1=b'])
    g = board.guest()
    d, other = node(g, 0, 0), node(g, 0, 1)
    store.ctl('fault', 'a', 'ops=read,error-share=1,offset=1M,length=64K')
    assert g.run(f'dd if={d} of=/dev/null bs=64k skip=16 count=1 iflag=direct', check=False).status
    g.run(f'dd if={d} of=/dev/null bs=64k skip=17 count=64 iflag=direct')
    sense = g.run(f'sg_raw -r 512 {d} 28 00 00 00 08 00 00 00 01 00', check=False)
    assert sense.status == MEDIUM and 'Medium Error' in sense.output
    store.ctl('fault', 'a', 'ops=write,offset=0,length=0')
    assert g.run(f'dd if=/dev/zero of={d} bs=4k count=1 oflag=direct', check=False).status
    g.run(fio(other, size='8m'))
    store.ctl('fault', 'a', 'error-share=0')
    g.run(fio(d, size='8m'))


def test_protection_is_checked_and_can_be_left_to_us(board):
    """Linux makes it and checks it; told not to, it says so in each command and sends none."""
    board.serve({'a': MEM}, h=['0:0=a,protection=on'])
    g = board.guest()
    d = node(g, 0, 0)
    own = f'/sys/block/{d[5:]}/integrity'  # Linux's part
    assert 'type 1' in sg(g, f'sg_readcap -l {d}')
    assert field(sg(g, f'sg_inq {d}'), 'Protect') == '1'
    assert field(sg(g, f'sg_vpd -p 0x86 {d}'), 'GRD_CHK') == '1'
    for made, checked in ((1, 1), (0, 1), (0, 0), (1, 0)):
        g.run(f'echo {made} >{own}/write_generate; echo {checked} >{own}/read_verify')
        g.run(fio(d, size='8m'), timeout=60)


def test_a_guest_dies_with_commands_that_are_stuck_and_the_next_one_is_served(board):
    store = board.serve({'a': FAULTY, 'b': MEM}, h=['0:0=a', '0:1=b'])
    g = board.guest()
    store.ctl('fault', 'a', 'ops=write,delay-ms=3600000')
    g.run(f'({fio(node(g, 0, 0), name="stuck")}) >/dev/null 2>&1 &')
    proc.until(lambda: store.device('h')['in_flight'] >= 16, 20, 'commands are stuck')
    g.kill()
    g.boot()
    g.run(fio(node(g, 0, 1), size='8m'))
    g.run(f'dd if={node(g, 0, 0)} of=/dev/null bs=64k count=16 iflag=direct')
    store.ctl('fault', 'a', 'delay-ms=0')
    g.run(fio(node(g, 0, 0), size='8m'))
    proc.until(lambda: store.device('h')['in_flight'] == 0, 20, 'all is done')


def test_a_unit_is_removed_while_its_disk_is_stuck(board):
    """The operator is told that it takes its time; the neighbour works, the place can be used
    again as soon as the disk has answered."""
    store = board.serve({'a': FAULTY, 'b': MEM, 'c': MEM}, h=['0:0=b', '0:1=a'])
    g = board.guest()
    store.ctl('fault', 'a', 'ops=write,delay-ms=3600000')
    g.run(f'({fio(node(g, 0, 1), name="stuck")} >/dev/null 2>&1; echo >/tmp/end) >/dev/null 2>&1 &')
    proc.until(lambda: store.device('h')['in_flight'] >= 16, 20, 'commands are stuck')
    with load(g, node(g, 0, 0), 'other'):
        store.ctl('remove-lun', 'h', '0:1')
    store.ctl('fault', 'a', 'delay-ms=0')
    gone(g, 0, 1)
    g.run('until [ -e /tmp/end ]; do sleep 0.1; done')
    proc.until(lambda: len(store.device('h')['units']) == 1, 20, 'the unit is off')
    store.ctl('add-lun', 'h', '0:1=c')
    g.run(fio(node(g, 0, 1), size='8m'))


def test_a_disk_of_many_terabytes(board):
    """More blocks than 32 bits count; nothing before or behind is touched."""
    path = f'{board.world.dir}/big.img'
    with open(path, 'wb') as f:
        f.truncate(5 << 40)
    board.serve({'a': f'type: file, path: {path}'}, h=['0:0=a'])
    g = board.guest()
    d = node(g, 0, 0)
    assert field(sg(g, f'sg_readcap -l {d}'), 'Number of logical blocks') == str(5 << 31)
    assert 'too large' in sg(g, f'sg_readcap {d}')  # for its shorter form
    g.run(f'head -c 1048576 /dev/urandom >/tmp/x && for at in 0 2097151 2097152 5242879; do '
          f'dd if=/tmp/x of={d} bs=1M seek=$at oflag=direct || exit 1; done; '
          f'for at in 0 2097151 2097152 5242879; do '
          f'dd if={d} bs=1M skip=$at count=1 iflag=direct | cmp - /tmp/x || exit 1; done')
    sg(g, f'sg_unmap -f --lba={5 * (1 << 31) - 2048} --num=2048 {d}')
    assert allocated(path) == 3 << 20
    g.run(f'mkfs.ext4 -qF -E lazy_itable_init=1,nodiscard {d} 4096 && fsck.ext4 -fn {d}')


# Several queues, and QEMU's front-end

@pytest.mark.long
def test_several_queues_on_several_threads(board):
    store = board.serve({'a': MEM, 'b': f'type: file, path: {board.image("b", 64)}'},
                        threads=2, h=['0:0=a', '9:0=b'])
    g = board.guest('QEMU', queues=2)
    devices = [node(g, 0, 0), node(g, 9, 0)]
    assert store.device('h')['queues'] == 4
    runs = [f'({fio(d, "--numjobs=2 --offset_increment=24m", size="2m", name=f"q{i}")} '
            f'>/tmp/q{i}.log 2>&1 || echo failed >>/tmp/q{i}.log)' for i, d in enumerate(devices)]
    g.run(' & '.join(runs) + ' & wait; cat /tmp/q*.log; ! grep failed /tmp/q*.log', timeout=90)
    g.reboot()
    node(g, 0, 0)
    g.run(fio(node(g, 9, 0), size='1m'))


@pytest.mark.long
def test_the_daemon_dies_under_fio_and_nothing_is_lost(board):
    """QEMU's front-end connects again and hands the record of what was in flight to the next
    daemon, for SCSI as for block devices (vhost_scsi_common_start, vhost_user_scsi_event)."""
    units = ['0:0=a', '255:16383=p,protection=on']
    files = {n: f'type: file, path: {board.image(n, 64)}' for n in 'ap'}
    store = board.serve(files, h=units)
    g = board.guest('QEMU', options=',t10_pi=on')
    a, p = node(g, 0, 0), node(g, 255, 16383)
    assert attribute(g, p, 'integrity/format') == 'T10-DIF-TYPE1-CRC'
    assert 'INFLIGHT_SHMFD' in store.device('h')['protocol_features']
    with load(g, a, 'a', '1m'), load(g, p, 'p', '1m'):
        for _ in range(5):
            g.run('sleep 0.5')
            store.kill()
            store.start()
            proc.until(lambda: store.device('h')['state'] == 'running', 20, 'the guest is back')
    assert 'error' not in g.run('dmesg | grep -E "sd |virtio"', check=False).output.lower()
