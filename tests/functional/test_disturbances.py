# SPDX-License-Identifier: BSD-3-Clause
"""Things happen to one guest; two others talk meanwhile and lose not one packet."""
import pytest
from traffic import Bystanders, iperf, iperf_server, ping, reachable

from lab import proc


@pytest.fixture(params=[1, 3], ids=['one thread', 'three threads'])
def four(request, world):
    """Four UML guests: a and b for the test, c and d to look on. With three threads a and d
    are served by one, b and c by another each."""
    world.start('a', 'b', 'c', 'd', options=('--threads', str(request.param)))
    return world.umls('abcd')


def full_traffic(a, b):
    """iperf3 both ways at once, for longer than any test needs."""
    iperf_server(b)
    job = a.background('iperf3 -c 10.0.0.2 -t 100 --bidir')
    a.run('ping -n -c 2 -i 0.5 10.0.0.2')
    return job


def test_a_uml_guest_reboots_and_comes_back(world, four):
    a, b, c, _ = four
    ping(a, '10.0.0.2')
    with Bystanders(c, '10.0.0.4'):
        b.reboot()
        b.address('10.0.0.2/24')
        reachable(a, '10.0.0.2')
    assert world.switch.ports()['b']['sessions'] == 2


def test_a_qemu_guest_reboots_and_comes_back(world):
    world.start('a', 'b', 'c')
    a, b, c = world.boot(world.guest('UML', 'a'), world.guest('QEMU', 'b'),
                         world.guest('UML', 'c'))
    for i, g in enumerate((a, b, c), 1):
        g.address(f'10.0.0.{i}/24')
    ping(a, '10.0.0.2')
    with Bystanders(a, '10.0.0.3'):
        b.reboot()
        b.address('10.0.0.2/24')
        reachable(a, '10.0.0.2')
    ping(a, '10.0.0.2', '-s 65000')


def test_a_guest_is_killed_in_full_traffic(world, four):
    a, b, c, _ = four
    files = world.switch.open_files()
    memory = world.switch.memory_kib()
    full_traffic(a, b)
    with Bystanders(c, '10.0.0.4'):
        b.kill()
        world.switch.wait_state('b', 'waiting')
        c.run('ping -n -c 5 -i 0.2 10.0.0.4')
    assert world.switch.open_files() < files, 'the files of the dead session are closed'
    b.boot().address('10.0.0.2/24')
    reachable(a, '10.0.0.2')
    iperf_server(b)
    iperf(a, '10.0.0.2')
    assert world.switch.open_files() == files
    assert world.switch.memory_kib()['RssAnon'] < memory['RssAnon'] + 4096


def test_the_sending_guest_is_killed_in_full_traffic(world, four):
    a, b, c, _ = four
    full_traffic(a, b)
    with Bystanders(c, '10.0.0.4'):
        a.kill()
        world.switch.wait_state('a', 'waiting')
        a.boot().address('10.0.0.1/24')
        reachable(b, '10.0.0.1')


def test_a_port_is_removed_and_added_in_full_traffic(world, four):
    a, b, c, _ = four
    full_traffic(a, b)
    with Bystanders(c, '10.0.0.4'):
        world.switch.ctl('remove', 'b')
        assert list(world.switch.ports()) == ['a', 'c', 'd']
        world.switch.ctl('add', world.port('b'))
        c.run('ping -n -c 5 -i 0.2 10.0.0.4')
        b.boot().address('10.0.0.2/24')
        reachable(a, '10.0.0.2')


def test_a_link_taken_down_stops_traffic_and_up_again_resumes_it(world, four):
    a, b, c, _ = four
    with Bystanders(c, '10.0.0.4'):
        world.switch.ctl('link', 'b', 'down')
        proc.until(lambda: 'NO-CARRIER' in b.run('ip link show eth0').output, 10,
                   'the guest sees its link down', 0.2)
        assert a.run('ping -n -c 1 -W 1 10.0.0.2', check=False).status
        world.switch.ctl('link', 'b', 'up')
        reachable(a, '10.0.0.2')


def test_a_stopped_guest_holds_up_nobody(world, four):
    """SIGSTOP: its rings fill and nobody empties them."""
    a, b, c, _ = four
    full_traffic(a, b)
    with Bystanders(c, '10.0.0.4'):
        b.freeze()
        c.run('ping -n -c 10 -i 0.2 10.0.0.4')
        # Floods go to the frozen guest as well, and must not wait for it.
        c.run('ip neigh flush dev eth0')
        ping(c, '10.0.0.1', count=5)
        b.thaw()
        reachable(a, '10.0.0.2')
