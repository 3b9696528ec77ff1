# SPDX-License-Identifier: BSD-3-Clause
"""What the switch costs when nothing happens, and for how many ports."""
import time

import pytest


def ticks(switch, seconds=5):
    before = switch.cpu_ticks()
    time.sleep(seconds)
    return switch.cpu_ticks() - before


def test_an_idle_switch_with_ten_ports_uses_no_measurable_cpu(world):
    s = world.start(*'abcdefghij')
    assert ticks(s) <= 1


def test_idle_guests_cost_no_measurable_cpu(world):
    s = world.start(*'abcdefghij')
    world.umls('ab')
    time.sleep(5)  # for what a kernel says by itself when a link comes up
    # A guest's kernel still says something now and then: one quiet span shows that we sleep.
    assert any(ticks(s) <= 1 for _ in range(3))


@pytest.mark.parametrize('count', [1, 10, 100])
def test_memory_is_stated_for_so_many_ports(world, capsys, count):
    s = world.start(*[f'p{i}' for i in range(count)])
    m = s.memory_kib()
    with capsys.disabled():
        print(f'\n{count} idle ports: {m["VmRSS"]} KiB resident, '
              f'of it {m["RssAnon"]} KiB not shared with other programs', end=' ')
    # Not a figure to be proud of, but one that shows when memory is set aside per port.
    assert m['RssAnon'] < (8 + count) * 1024


def test_memory_of_guests_that_come_and_go_is_given_back(world):
    s = world.start('a')
    a = world.guest('UML', 'a')
    sizes, files = [], []
    for _ in range(4):
        a.boot()
        a.kill()
        s.wait_state('a', 'waiting')
        sizes.append(s.memory_kib()['VmRSS'])
        files.append(s.open_files())
    assert sizes[-1] < sizes[0] + 1024, sizes
    assert len(set(files)) == 1, files
