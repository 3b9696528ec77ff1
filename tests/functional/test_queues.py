# SPDX-License-Identifier: BSD-3-Clause
"""Guests with several queue pairs, spread over several threads of the switch."""
import pytest
from traffic import arrives_unchanged, iperf, iperf_server, ping


@pytest.fixture(scope='module')
def pair(module_world):
    """Two QEMU guests with two queue pairs each; the pairs of a guest are on different threads."""
    w = module_world
    w.start('a', 'b', options=('--threads', '2'))
    guests = w.boot(*[w.guest('QEMU', name, queues=2) for name in 'ab'])
    for i, g in enumerate(guests, 1):
        g.run(f'ethtool -L {g.nic} combined 2')
        g.address(f'10.0.0.{i}/24')
    iperf_server(guests[1])
    return w, *guests


@pytest.fixture(autouse=True)
def show_logs(request, pair):
    request.node.worlds = pair[:1]


def test_both_pairs_of_both_guests_run(pair):
    for p in pair[0].switch.ports().values():
        assert p['queues'] == 4
    assert all(pair[0].switch.port(n)['pairs_running'] == 2 for n in 'ab')


def test_many_flows_pass_at_once_both_ways(pair):
    world, a, b = pair
    ping(b, '10.0.0.1')
    for way in ('', '-R', '--bidir'):
        iperf(a, '10.0.0.2', '-P 8', way)
    arrives_unchanged(a, b, '10.0.0.2', 16)
    assert all(p['counters']['tx_bad'] == 0 for p in world.switch.ports().values())


def test_pairs_are_switched_off_and_on_again_under_traffic(pair):
    _, a, b = pair
    job = a.background('iperf3 -c 10.0.0.2 -t 6 -P 4')
    for count in (1, 2, 1, 2):
        b.run(f'ethtool -L {b.nic} combined {count}')
        a.run('sleep 0.7')
    job.wait(60)
    ping(a, '10.0.0.2')
