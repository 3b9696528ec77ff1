# SPDX-License-Identifier: BSD-3-Clause
"""slipring switch: its command line, sockets and signals."""
import os
import resource
import signal
import socket
import stat
import time

import pytest
from conftest import run, until


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def refused(text, *args):
    answer = run("switch", "--control", "none", *args)
    assert answer.returncode == 2
    assert text in answer.stderr


def test_each_port_says_where_it_is(switch, place):
    switch.logs(f"control: listening on {place}/control.sock")
    switch.logs(f"a: listening on {place}/a.sock")
    assert [p["name"] for p in switch.json("ports")] == ["a", "b"]


def test_sockets_are_private_unless_told_otherwise(start, place):
    os.umask(0)
    d = start("switch", "--port", f"vhost-user,name=a,socket={place}/a.sock", "--port",
              f"vhost-user,name=b,socket={place}/b.sock,permissions=0660,group=root",
              "--control-permissions", "0666", wait="b: listening")
    assert mode_of(place / "a.sock") == 0o600
    assert mode_of(place / "b.sock") == 0o660
    assert mode_of(d.control) == 0o666


def test_permissions_do_not_depend_on_umask(start, place):
    old = os.umask(0o077)
    try:
        start("switch", "--port", f"vhost-user,name=a,socket={place}/a.sock,permissions=0666",
              wait="a: listening")
    finally:
        os.umask(old)
    assert mode_of(place / "a.sock") == 0o666


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_removes_its_sockets(switch, place, number):
    assert switch.end(number) == 0
    assert sorted(p.name for p in place.iterdir()) == ["log"]


def test_sighup_does_not_end_it(switch):
    switch.send(signal.SIGHUP)
    assert switch.json("version")["name"] == "slipring"


def test_sockets_left_by_a_killed_daemon_are_replaced(switch, start, place):
    switch.end(signal.SIGKILL)
    assert (place / "a.sock").exists() and (place / "control.sock").exists()
    again = start("switch", "--port", f"vhost-user,name=a,socket={place}/a.sock", wait=None)
    until(lambda: again.ctl("version").returncode == 0, "the second daemon answers")
    assert again.port("a")["state"] == "waiting"


def test_the_sockets_of_a_living_daemon_are_never_taken(switch, place):
    other = run("switch", "--control", place / "control.sock")
    assert other.returncode == 1
    assert (f"control socket {place}/control.sock: another process listens there: is a daemon "
            "running already? give --control another path") in other.stderr
    other = run("switch", "--control", "none", "--port",
                f"vhost-user,name=x,socket={place}/a.sock")
    assert other.returncode == 1
    assert f"{place}/a.sock" in other.stderr
    assert switch.json("version") and (place / "a.sock").exists()
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(place / "a.sock"))
        switch.has_state("a", "connected")


def test_a_file_that_is_no_socket_is_left_alone(place):
    (place / "a.sock").write_text("precious")
    answer = run("switch", "--control", "none", "--port",
                 f"vhost-user,name=a,socket={place}/a.sock")
    assert answer.returncode == 1
    assert f"{place}/a.sock" in answer.stderr
    assert (place / "a.sock").read_text() == "precious"


def test_a_port_that_fails_at_start_leaves_nothing_behind(place):
    answer = run("switch", "--control", place / "c.sock", "--port",
                 f"vhost-user,name=a,socket={place}/a.sock", "--port",
                 f"vhost-user,name=b,socket={place}/no/such/b.sock")
    assert answer.returncode == 1
    assert f"{place}/no/such/b.sock" in answer.stderr
    assert list(place.iterdir()) == []


def test_a_cpu_that_is_not_there_is_named(place):
    answer = run("switch", "--control", place / "c.sock", "--cpus", "4000")
    assert answer.returncode == 1
    assert "slipring: --cpus: got 4000: there is no such CPU" in answer.stderr


def test_a_client_tries_until_somebody_listens_and_again_after(start, place):
    d = start("switch", "--port", f"vhost-user,name=c,socket={place}/c.sock,mode=client",
              wait="c: connecting to")
    d.logs("No such file or directory")
    assert d.port("c")["state"] == "waiting"
    for _ in range(2):
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(str(place / "c.sock"))
            s.listen()
            s.settimeout(30)
            guest, _ = s.accept()
            d.has_state("c", "connected")
            s.close()  # or it would be connected again before anybody looks
            guest.close()
            d.has_state("c", "waiting")
        (place / "c.sock").unlink()


def test_wrong_words_are_refused_with_what_was_expected(place):
    sock = f"socket={place}/a.sock"
    refused("unknown key 'sokcet', expected one of name, socket, mode", "--port",
            "vhost-user,name=a,sokcet=/x")
    refused("key 'mode': got 'both', expected server or client", "--port",
            f"vhost-user,name=a,{sock},mode=both")
    refused("key 'name': port a has this already", "--port", f"vhost-user,name=a,{sock}",
            "--port", f"vhost-user,name=a,socket={place}/b.sock")
    refused("key 'socket': port a has this already", "--port", f"vhost-user,name=a,{sock}",
            "--port", f"vhost-user,name=b,{sock}")
    refused("--threads: got '0', expected a number from 1 to 64", "--threads", "0")
    refused("--cpus: names 1 CPU for 2 threads", "--threads", "2", "--cpus", "0")
    refused("--log: got 'all', expected error, warn, info or debug", "--log", "all")
    refused("unexpected 'port'", "port")
    refused("--control: got 'none' without any port or device: there would never be one")
    assert list(place.iterdir()) == []


def test_usage_errors_and_help_have_their_exit_codes():
    assert run().returncode == 2
    assert run("nonsense").returncode == 2
    assert run("switch", "--nonsense").returncode == 2
    assert run("serve").returncode == 2
    assert run("ctl").returncode == 2
    for command in [[], ["switch"], ["serve"], ["ctl"]]:
        answer = run(*command, "--help")
        assert answer.returncode == 0 and " ".join(["Usage: slipring", *command]) in answer.stdout
        assert run(*command, "-h").stdout == answer.stdout
        assert run("help", *command).stdout == answer.stdout
    assert run("bench", "net", "-h").stdout == run("help", "bench", "net").stdout != ""
    assert run("ctl", "help").stdout == run("ctl", "--help").stdout
    assert run("--version").stdout.startswith("slipring ")
    assert run("version").stdout == run("--version").stdout


@pytest.mark.parametrize("words, text", [
    ([], "no command given, expected one of switch, serve, blk, scsi, ctl, bench, help, version"),
    (["nope"], "unknown command 'nope', expected one of switch, serve, blk, scsi, ctl, bench, help, version"),
    (["help", "nope"], "unknown command 'nope', expected one of"),
])
def test_an_unknown_command_is_told_the_known_ones(words, text):
    answer = run(*words)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert text in answer.stderr


def test_open_files_may_be_as_many_as_the_hard_limit_allows(switch):
    limit = resource.prlimit(switch.process.pid, resource.RLIMIT_NOFILE)
    assert limit[0] == limit[1]


def test_no_file_descriptor_is_left_open_for_children(switch):
    for fd in os.listdir(f"/proc/{switch.process.pid}/fd"):
        if int(fd) > 2:
            with open(f"/proc/{switch.process.pid}/fdinfo/{fd}") as f:
                flags = next(int(line.split()[1], 8) for line in f if line.startswith("flags"))
            assert flags & os.O_CLOEXEC


def test_an_idle_daemon_with_ten_ports_sleeps(start, place):
    ports = [w for i in range(10)
             for w in ("--port", f"vhost-user,name=p{i},socket={place}/p{i}.sock")]
    d = start("switch", "--threads", "2", *ports, wait="p9: listening")

    def woken():
        total = 0
        for task in os.listdir(f"/proc/{d.process.pid}/task"):
            with open(f"/proc/{d.process.pid}/task/{task}/status") as f:
                total += sum(int(line.split()[1]) for line in f if line.startswith("voluntary"))
        return total

    time.sleep(0.5)  # start is over
    before = woken()
    time.sleep(2)
    assert woken() - before <= 4
