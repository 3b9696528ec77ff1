# SPDX-License-Identifier: BSD-3-Clause
"""Real guests, real peers and the switch under test, for tests and for scripts/demo.

    root    a program inside the lab's root folder
    uml     a User-mode Linux guest          qemu  a QEMU guest
    switch  the slipring daemon under test   dpdk  DPDK's testpmd
    netns   a network namespace of its own   proc  every process ends with ours

Uml and Qemu share the interface of guest.Guest, so that a test can be written once and
run with any mix of them. Nothing but Python's standard library is needed.
"""
