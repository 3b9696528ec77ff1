# SPDX-License-Identifier: BSD-3-Clause
"""Programs inside the lab's root folder.

Each program runs in mount and PID namespaces of its own: mounts vanish with it, and nothing
it forks survives it. /tmp is the machine's own, so a socket has the same name on both sides.
Without root a user namespace is added, so that only *making* the lab needs root.
"""
import os
import subprocess
from pathlib import Path

from . import proc

CHECKOUT = Path(__file__).resolve().parents[2]

_ENTER = r'''
lab=$1; shift
mount --make-rprivate /
mount --rbind /dev "$lab/dev"
mount --rbind /sys "$lab/sys"
mount --rbind /tmp "$lab/tmp"
mount -t proc proc "$lab/proc" 2>/dev/null || mount --rbind /proc "$lab/proc"
mount -t tmpfs run "$lab/run"
if [ -n "$SR_HUGE" ]; then
    mkdir "$lab/run/huge"
    mount -t hugetlbfs huge "$lab/run/huge"
fi
export TMPDIR=/run HOME=/run PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
exec chroot "$lab" "$@"
'''


def path():
    """Where the lab is; None when nobody has made it."""
    out = subprocess.run([CHECKOUT / 'scripts/lab', '--path'], check=True,
                         stdout=subprocess.PIPE, text=True).stdout
    lab = Path(out.strip())
    return lab if (lab / '.slipring-lab').exists() else None


def cache():
    """A folder for what is derived from the lab: beside it, or the user's own where root
    has made the lab."""
    d = path().parent / 'derived'
    if not os.access(d if d.exists() else d.parent, os.W_OK):
        base = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
        d = Path(base) / 'slipring-derived'
    d.mkdir(parents=True, exist_ok=True)
    return d


def stamp():
    """Changes whenever the lab is made anew."""
    s = os.stat(path() / '.slipring-lab')
    return f'{s.st_ino:x}-{s.st_mtime_ns:x}'


def argv(command, huge=False):
    """The command line that runs command inside the lab."""
    outer = ['unshare', '--mount', '--pid', '--fork', '--kill-child=KILL']
    if os.getuid() != 0:
        outer.insert(1, '--map-root-user')
    env = ['env', 'SR_HUGE=1'] if huge else []
    return [*env, *outer, 'bash', '-ec', _ENTER, 'enter-lab', path(), *command]


def spawn(command, *, huge=False, **kw):
    return proc.spawn(argv(command, huge), **kw)


def run(command, timeout=60, check=True):
    """Runs command in the lab to its end; returns its output."""
    r = subprocess.run([str(a) for a in argv(command)], stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                       timeout=timeout)
    if check and r.returncode:
        raise RuntimeError(f'{command} in the lab: exit {r.returncode}\n{r.stdout}')
    return r.stdout
