# SPDX-License-Identifier: BSD-3-Clause
"""Much data."""
import pytest
from traffic import arrives_unchanged


@pytest.mark.long
def test_1_gib_arrives_unchanged_between_uml_guests(world):
    world.start('a', 'b')
    a, b = world.guest('UML', 'a'), world.guest('UML', 'b')
    for g in (a, b):
        g.memory = '768M'
    world.boot(a, b)
    a.address('10.0.0.1/24')
    b.address('10.0.0.2/24')
    for way in range(4):
        if way % 2:
            arrives_unchanged(b, a, '10.0.0.1', 256)
        else:
            arrives_unchanged(a, b, '10.0.0.2', 256)
