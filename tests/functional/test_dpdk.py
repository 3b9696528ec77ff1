# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's virtio-user passes frames both ways."""
import pytest

from lab.dpdk import Testpmd


@pytest.fixture
def testpmd(world):
    running = []

    def start(name, mode, cpu=0, **vdev):
        keys = ''.join(f',{k}={v}' for k, v in vdev.items())
        t = Testpmd(name, f'net_virtio_user0,path={world.socket(name)},queues=1{keys}', mode,
                    world.dir, cpu=cpu)
        running.append(t)
        return t
    yield start
    for t in running:
        t.close()


@pytest.mark.parametrize('options', [
    pytest.param({}, id='mergeable'),
    pytest.param({'mrg_rxbuf': 0}, id='whole-buffers'),
])
@pytest.mark.parametrize('sender,receiver', ['ab', 'ba'])
def test_frames_pass_from_one_virtio_user_to_another(world, testpmd, options, sender, receiver):
    world.start('a', 'b')
    r = testpmd(receiver, 'rxonly', cpu=0, **options)
    world.switch.wait_state(receiver, 'running', 20)
    t = testpmd(sender, 'txonly', cpu=1, **options)
    t.wait_counter(1, 10000)
    r.wait_counter(0, 10000)
    c = world.switch.ports()
    assert c[sender]['counters']['tx_bad'] == 0
    assert c[receiver]['counters']['rx_frames'] >= 10000


def test_a_killed_testpmd_can_come_back(world, testpmd):
    world.start('a', 'b')
    r = testpmd('b', 'rxonly', cpu=0)
    first = testpmd('a', 'txonly', cpu=1)
    r.wait_counter(0, 1000)
    first.close()
    world.switch.wait_state('a', 'waiting')
    before = r.counters()[0]
    testpmd('a', 'txonly', cpu=1)
    r.wait_counter(0, before + 10000)
