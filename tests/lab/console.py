# SPDX-License-Identifier: BSD-3-Clause
"""Attaches this terminal to a guest's: python3 -m lab.console /dev/pts/N

As screen or socat would; here so that neither is needed. Ctrl-] leaves.
"""
import os
import select
import sys
import termios
import tty

LEAVE = b'\x1d'


def relay(guest):
    while True:
        ready = select.select([0, guest], [], [])[0]
        if guest in ready:
            data = os.read(guest, 4096)
            if not data:
                return
            os.write(1, data)
        if 0 in ready:
            data = os.read(0, 4096)
            if not data or LEAVE in data:
                return
            os.write(guest, data)


def main(path):
    guest = os.open(path, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(guest)
    is_terminal = os.isatty(0)
    saved = termios.tcgetattr(0) if is_terminal else None
    print('Ctrl-] leaves; press Enter for a prompt', flush=True)
    try:
        if is_terminal:
            tty.setraw(0)
        relay(guest)
    except OSError:
        print('\r\nThe guest is gone.', end='')
    finally:
        if is_terminal:
            termios.tcsetattr(0, termios.TCSADRAIN, saved)
        print()


if __name__ == '__main__':
    if len(sys.argv) != 2 or not os.path.exists(sys.argv[1]):
        sys.exit('expected the terminal that scripts/demo --stay has named, such as /dev/pts/3')
    main(sys.argv[1])
