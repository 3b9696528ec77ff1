# SPDX-License-Identifier: BSD-3-Clause
"""Real guests, real peers and the switch under test, for tests and for scripts/demo.

    root     a program inside the lab's root folder
    proc     every process ends with ours
    machine  whatever has a network stack: uml and qemu (guests, guest), and
    netns    the host's own stack, in a network namespace
    nic      how a guest's network device reaches its back-end
    switch   the slipring daemon under test
    dpdk     DPDK's testpmd as a peer

Uml and Qemu share the interface of guest.Guest, so that a test can be written once and
run with any mix of them. Nothing but Python's standard library is needed.
"""
