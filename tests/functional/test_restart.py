# SPDX-License-Identifier: BSD-3-Clause
"""The daemon goes and comes back, with guests that reconnect. QEMU does, in both socket
directions; UML's front-end connects once at boot, so it is not in here."""
import os

import pytest
from traffic import iperf_server, ping, reachable


@pytest.fixture(scope='module')
def booted(module_world):
    """One guest that connects, one that listens; the same two for all tests here."""
    w = module_world
    w.start(w.port('a'), w.port('b', mode='client'))
    a, b = w.boot(w.guest('QEMU', 'a'), w.guest('QEMU', 'b', listens=True))
    a.address('10.0.0.1/24')
    b.address('10.0.0.2/24')
    return w, a, b


@pytest.fixture
def two(request, booted):
    request.node.worlds = booted[:1]
    ping(booted[1], '10.0.0.2')
    return booted


def test_a_connection_outlives_daemons_that_end_or_are_killed(two):
    world, a, b = two
    iperf_server(b)
    up = a.run('cat /proc/sys/kernel/random/boot_id').output
    stream = a.background('iperf3 -c 10.0.0.2 -t 12 -b 20M')
    for end in (world.switch.stop, world.switch.kill, world.switch.kill):
        a.run('sleep 1')
        end()
        world.switch.start()
        for name in 'ab':
            world.switch.wait_state(name, 'running', 20)
        reachable(a, '10.0.0.2')
    stream.wait(60)
    assert a.run('cat /proc/sys/kernel/random/boot_id').output == up, 'nobody has rebooted'
    ping(b, '10.0.0.1', '-s 65000')


def test_stopping_the_daemon_takes_its_sockets_away(two):
    world, a, _ = two
    assert world.switch.stop() == 0
    assert not os.path.exists(world.socket('a'))
    assert os.path.exists(world.socket('b')), "this one is the guest's"
    world.switch.start()
    reachable(a, '10.0.0.2')


def test_a_killed_guest_that_listened_is_found_again(two):
    world, a, b = two
    b.kill()
    world.switch.wait_state('b', 'waiting')
    b.boot().address('10.0.0.2/24')
    reachable(a, '10.0.0.2')
