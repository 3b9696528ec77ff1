# SPDX-License-Identifier: BSD-3-Clause
"""libslipring as its users meet it: installed, found by pkg-config, and driven by a guest."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / 'tests'))

from lab import proc, root  # noqa: E402
from lab.qemu import Qemu  # noqa: E402

BUILD = Path(os.environ.get('SLIPRING', TOP / 'build/check-gcc/src/cli/slipring')).parents[2]
EXAMPLE = TOP / 'examples/rng/rng.c'
DISK_EXAMPLE = TOP / 'examples/blk/blk.c'
# _Atomic in a structure is C only; what includes one of these cannot be C++ before C++23.
CPP_NEEDS_C_ATOMICS = {'port.h', 'switch.h', 'tap.h', 'net.h', 'disk_engine.h', 'blk.h', 'scsi.h'}


def run(*words, **kw):
    r = subprocess.run([str(w) for w in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       text=True, timeout=120, **kw)
    assert r.returncode == 0, f'{words}: exit {r.returncode}\n{r.stdout}'
    return r.stdout.strip()


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
    """The folder that everything was installed under."""
    dest = tmp_path_factory.mktemp('installed')
    run('meson', 'install', '-C', BUILD, '--no-rebuild', '--destdir', dest)
    return dest


@pytest.fixture(scope='module')
def pkg_config(installed):
    folder = next(installed.rglob('slipring.pc')).parent
    env = dict(os.environ, PKG_CONFIG_PATH=str(folder), PKG_CONFIG_SYSROOT_DIR=str(installed))

    def ask(*words):
        return run('pkg-config', *words, 'slipring', env=env).split()
    return ask


@pytest.fixture(scope='module')
def compiled(installed, pkg_config, tmp_path_factory):
    def compile_one(source):
        program = tmp_path_factory.mktemp('example') / source.stem
        library = next(installed.rglob('libslipring.so')).parent
        run('cc', '-Wall', '-Wextra', '-Werror', source, *pkg_config('--cflags', '--libs'),
            f'-Wl,-rpath,{library}', '-o', program)
        return program
    return compile_one


@pytest.fixture(scope='module')
def example(compiled):
    return compiled(EXAMPLE)


def test_all_that_a_user_needs_is_installed(installed):
    names = {str(p.relative_to(installed)) for p in installed.rglob('*')}
    for wanted in ['bin/slipring', 'include/slipring/vhost_user.h', 'slipring.pc',
                   'libslipring.so', 'libslipring.a', 'man1/slipring.1', 'man5/slipring.yaml.5']:
        assert any(n.endswith(wanted) for n in names), f'{wanted} is not among {sorted(names)}'


def test_each_public_header_compiles_by_itself_in_c_and_cpp(installed, pkg_config, tmp_path):
    headers = sorted(p.name for p in next(installed.rglob('include/slipring')).iterdir())
    for header in headers:
        for suffix, compiler in (('c', 'cc'), ('cc', 'c++')):
            if suffix == 'cc' and header in CPP_NEEDS_C_ATOMICS:
                continue
            source = tmp_path / f'one.{suffix}'
            source.write_text(f'#include <slipring/{header}>\n')
            run(compiler, '-Wall', '-Wextra', '-Werror', '-fsyntax-only', *pkg_config('--cflags'),
                source)


def test_the_library_exports_versioned_symbols_and_nothing_else(installed):
    run('/usr/bin/python3', TOP / 'tests/symbols.py', next(installed.rglob('libslipring.so')))


def test_the_installed_program_runs_from_where_it_was_put(installed):
    assert 'slipring' in run(next(installed.rglob('bin/slipring')), '--version')


@pytest.mark.parametrize('name, kind', [('blk', 'block'), ('scsi', 'scsi')])
def test_a_manager_of_virtual_machines_finds_the_programs_and_asks_them(installed, name, kind):
    found = list(installed.rglob(f'qemu/vhost-user/50-slipring-{name}.json'))
    assert len(found) == 1, found
    described = json.loads(found[0].read_text())
    assert described['type'] == kind and described['description']
    binary = Path(described['binary'])
    assert binary.is_absolute() and binary.name == f'slipring-vhost-user-{name}'
    program = installed / binary.relative_to('/')
    assert program.is_symlink()
    # The link must lead to the program wherever the whole was put.
    assert program.resolve() == next(installed.rglob('bin/slipring')).resolve()
    assert json.loads(run(program, '--print-capabilities'))['type'] == kind


def test_a_program_that_embeds_a_disk_serves_it(installed, compiled, tmp_path):
    assert len(DISK_EXAMPLE.read_text().splitlines()) < 80
    slipring = next(installed.rglob('bin/slipring'))
    work = Path(run('mktemp', '-d', '/tmp/sr-blk-XXXXXX'))
    device = proc.spawn([str(compiled(DISK_EXAMPLE)), str(work / 'sock'), '16'],
                        log=str(work / 'log'))
    try:
        proc.until((work / 'sock').exists, 10, 'the example listens')
        measured = json.loads(run(slipring, 'bench', 'blk', work / 'sock', '--rw', 'randrw',
                                  '--verify', '--destroy-data', '--seconds', '1', '--queues', '4',
                                  '--json'))
        assert measured['failed'] == 0 and measured['verified']['blocks'] > 0
        assert measured['back_end']['config']['capacity'] == 16 << 20
        proc.until(lambda: 'it went' in (work / 'log').read_text(), 10, 'its guest went')
    finally:
        proc.kill(device)
        run('rm', '-rf', work)


def test_the_example_is_at_most_100_lines(example):
    assert len(EXAMPLE.read_text().splitlines()) <= 100


class RngNic:
    """Looks like a network device to the guest harness; is an entropy device."""

    def __init__(self, socket):
        self.socket = socket

    def qemu_arguments(self, index):
        return ['-chardev', f'socket,id=c{index},path={self.socket}',
                '-device', f'vhost-user-rng-pci,chardev=c{index}']


def test_a_real_guest_reads_random_bytes_from_the_example(example):
    if root.path() is None:
        pytest.skip('no lab: run scripts/lab once')
    work = Path(run('mktemp', '-d', '/tmp/sr-rng-XXXXXX'))
    sock = work / 'rng.sock'
    device = proc.spawn([str(example), str(sock)], log=str(work / 'rng.log'))
    guest = Qemu('rng', [RngNic(sock)], str(work))
    try:
        proc.until(sock.exists, 10, 'the example listens')
        guest.boot()
        guest.run('insmod /usr/lib/modules/$(uname -r)/kernel/drivers/char/hw_random/virtio-rng.ko')
        assert 'virtio_rng.0' in guest.run('cat /sys/class/misc/hw_random/rng_available').output
        guest.run('echo virtio_rng.0 > /sys/class/misc/hw_random/rng_current')
        first, second = (guest.run('dd if=/dev/hwrng bs=64 count=16 2>/dev/null | base64 -w0')
                         .output for _ in range(2))
        assert len(first) >= 1024 and first != second
    finally:
        guest.kill()
        proc.kill(device)
        run('rm', '-rf', work)
