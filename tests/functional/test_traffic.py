# SPDX-License-Identifier: BSD-3-Clause
"""Every pair of machines passes the same traffic: User-mode Linux, QEMU, the host's stack."""
import pytest
from traffic import arrives_unchanged, iperf, iperf_server, ping

PAIRS = ['UML-UML', 'QEMU-QEMU', 'UML-QEMU', 'QEMU 7.2-UML', 'UML-tap', 'QEMU-tap']


@pytest.fixture(scope='module', params=PAIRS)
def pair(request, binary, lab):
    """Two machines with addresses 10.0.0.1, fd00::1 and 10.0.0.2, fd00::2."""
    from conftest import World
    w = World(binary)
    first, second = request.param.split('-')
    try:
        w.start('a', 'tap,name=t0' if second == 'tap' else 'b')
        guests = [w.guest(first, 'a')]
        if second != 'tap':
            guests.append(w.guest(second, 'b'))
        w.boot(*guests)
        a, b = guests[0], w.netns if second == 'tap' else guests[1]
        a.address('10.0.0.1/24', 'fd00::1/64')
        b.address('10.0.0.2/24', 'fd00::2/64')
        iperf_server(b)
        yield a, b, w
    finally:
        w.close()


@pytest.fixture(autouse=True)
def show_logs(request, pair):
    request.node.worlds = [pair[2]]


def test_machines_ping_each_other(pair):
    a, b, _ = pair
    ping(a, '10.0.0.2')
    ping(b, '10.0.0.1')


def test_pings_of_64_kib_arrive_in_fragments(pair):
    a, b, _ = pair
    ping(a, '10.0.0.2', '-s 65000')
    ping(b, '10.0.0.1', '-s 65000')


def test_ipv6_neighbours_find_each_other(pair):
    a, b, _ = pair
    a.run(f'ip -6 neigh flush dev {a.nic}')
    ping(a, 'fd00::2')
    assert b.mac() in a.run(f'ip -6 neigh show fd00::2 dev {a.nic}').output


def test_tcp_flows_both_ways(pair):
    a = pair[0]
    for way in ('', '-R'):
        end = iperf(a, '10.0.0.2', way)
        assert end['sum_received']['bytes'] > 0
    assert iperf(a, 'fd00::2', seconds=1)['sum_received']['bytes'] > 0


def test_udp_flows_both_ways_in_order(pair):
    a = pair[0]
    for way in ('', '-R'):
        end = iperf(a, '10.0.0.2', '-u -b 50M', way)
        assert end['sum']['packets'] > 0 and end['sum']['lost_percent'] < 100
        assert all(s['udp']['out_of_order'] == 0 for s in end['streams'])


def test_bytes_arrive_unchanged_with_and_without_offloads(pair):
    a, b, _ = pair
    arrives_unchanged(a, b, '10.0.0.2', 16)
    for m in (a, b):
        m.run(f'ethtool -K {m.nic} tx off tso off gso off gro off')
    try:
        arrives_unchanged(a, b, '10.0.0.2', 8)
        # One side with offloads, the other without.
        a.run(f'ethtool -K {a.nic} tx on tso on gso on')
        arrives_unchanged(a, b, '10.0.0.2', 8)
    finally:
        for m in (a, b):
            m.run(f'ethtool -K {m.nic} tx on tso on gso on gro on')


def test_vlan_tagged_frames_pass(pair):
    a, b, _ = pair
    for i, m in enumerate((b, a)):
        r = m.run(f'ip link add link {m.nic} name {m.nic}.7 type vlan id 7', check=False)
        if m.kind == 'tap' and 'Unknown device type' in r.output:
            pytest.skip("this machine's own kernel has no VLAN devices")
        assert r.status == 0, r.output
        m.address(f'10.7.0.{2 - i}/24', nic=f'{m.nic}.7')
    ping(a, '10.7.0.2')
    ping(a, '10.7.0.2', '-s 20000')
    assert iperf(a, '10.7.0.2', seconds=1)['sum_received']['bytes'] > 0


def test_frames_of_9000_bytes_pass(pair):
    a, b, _ = pair
    try:
        for m in (a, b):
            m.run(f'ip link set {m.nic} mtu 9000')
        ping(a, '10.0.0.2', '-M do', '-s 8972')
        ping(b, '10.0.0.1', '-M do', '-s 8972')
        assert iperf(a, '10.0.0.2', seconds=1)['sum_received']['bytes'] > 0
    finally:
        for m in (a, b):
            m.run(f'ip link set {m.nic} mtu 1500')


def test_nothing_was_malformed(pair):
    """Comes last: after all that traffic, the switch has no complaint about anybody."""
    for p in pair[2].switch.ports().values():
        assert p['counters']['tx_bad'] == 0
        assert p.get('last_error', '') == ''
