# SPDX-License-Identifier: BSD-3-Clause
"""Real zones: the kernel's null_blk, host-managed, inside a QEMU guest, as a medium of the file
engine. Its unit test runs there, from a disk that Slipring serves."""
import os
import re
import shutil
import subprocess

import pytest
from lab.storage import file_of


def libraries(binary):
    out = subprocess.run(['ldd', binary], check=True, stdout=subprocess.PIPE, text=True).stdout
    return re.findall(r'(/\S+) \(0x', out)


def test_the_file_engine_on_a_zoned_block_device(world, binary):
    test = binary.parents[1] / 'disk/file/disk_file_zone_test'
    if not test.exists():
        pytest.skip(f'{test} is not there: SLIPRING names no build with tests')
    folder = f'{world.dir}/root'
    for f in libraries(test):
        os.makedirs(folder + os.path.dirname(f), exist_ok=True)
        shutil.copy(f, folder + f)
    for d in ('dev', 'sys', 'proc', 'tmp'):
        os.makedirs(f'{folder}/{d}', exist_ok=True)
    shutil.copy(test, f'{folder}/test')
    image = file_of(f'{world.dir}/d.img', 64)
    world.lab_run('mke2fs', '-q', '-F', '-t', 'ext4', '-d', folder, image)
    world.store('blk', f'--blk-file={image}')
    g = world.disk_guest('QEMU')
    g.run('insmod /usr/lib/modules/$(uname -r)/kernel/drivers/block/null_blk/null_blk.ko '
          'nr_devices=1 zoned=1 zone_size=4 zone_nr_conv=2 gb=1 memory_backed=1 '
          'zone_max_open=3')
    g.run('mkdir /tmp/r && mount /dev/vda /tmp/r && '
          'for d in dev sys proc; do mount --bind /$d /tmp/r/$d; done')
    out = g.run('SLIPRING_TEST_ZONED=/dev/nullb0 chroot /tmp/r /test 2>&1', timeout=120).output
    assert 'SKIPPED' not in out and 'PASSED' in out, out
