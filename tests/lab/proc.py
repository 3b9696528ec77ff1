# SPDX-License-Identifier: BSD-3-Clause
"""Processes that never outlive us.

A test that is interrupted, crashes or is killed must leave nothing running. Clean-up code
alone cannot promise that, so the kernel is asked: each process we start receives SIGKILL
when we die (PR_SET_PDEATHSIG), and what runs in the lab does so in a PID namespace of its
own, which ends together with its first process, whatever was forked in there.
"""
import atexit
import ctypes
import os
import signal
import subprocess
import time

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_live = []


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def spawn(argv, *, log=None, stdin=subprocess.DEVNULL, stdout=None, pass_fds=(), env=None):
    """Starts argv in a session of its own. Output goes to the file named log, unless stdout
    says otherwise. To be called from the main thread: PDEATHSIG watches the *thread*."""
    out = open(log, 'ab') if log else None
    try:
        p = subprocess.Popen(
            [str(a) for a in argv], stdin=stdin, stdout=stdout or out or subprocess.DEVNULL,
            stderr=out or subprocess.STDOUT, pass_fds=pass_fds, env=env,
            start_new_session=True, preexec_fn=_die_with_parent)
    finally:
        if out:
            out.close()
    _live.append(p)
    return p


def children(pid):
    try:
        with open(f'/proc/{pid}/task/{pid}/children') as f:
            return [int(c) for c in f.read().split()]
    except OSError:
        return []


def kill(p):
    """SIGKILL for p and all below it; returns when they are gone."""
    if p.poll() is None:
        # What p has put into a PID namespace goes first: p then sees it end, waits for it,
        # and ends as well. The other way round, somebody else would have to wait for it.
        for c in children(p.pid):
            os.kill(c, signal.SIGKILL)
        try:
            p.wait(2)
        except subprocess.TimeoutExpired:
            pass
    if p.poll() is None:
        os.killpg(p.pid, signal.SIGKILL)
        p.wait()
    if p in _live:
        _live.remove(p)


def terminate(p, timeout=5):
    """SIGTERM, then SIGKILL if p doesn't listen. Returns the exit status."""
    if p.poll() is None:
        p.terminate()
        try:
            p.wait(timeout)
        except subprocess.TimeoutExpired:
            pass
    status = p.poll()
    kill(p)
    return status


def kill_all():
    for p in list(_live):
        kill(p)


atexit.register(kill_all)


def until(condition, timeout, what, step=0.02):
    """Polls condition() until it holds and returns its value; TimeoutError names what."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f'{what}: not within {timeout} s')
        time.sleep(step)


def tail(path, lines=20):
    """The last lines of a file, for error messages."""
    try:
        with open(path, errors='replace') as f:
            return ''.join(f.readlines()[-lines:])
    except OSError as e:
        return f'({e})'
