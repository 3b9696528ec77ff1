# SPDX-License-Identifier: BSD-3-Clause
"""slipring ctl and the JSON-RPC socket behind it."""
import json
import os
import pathlib
import socket
import subprocess

import pytest
from conftest import BINARY, run, until


def rpc(daemon, text):
    """Sends text, returns all replies until the daemon has no more to say."""
    with daemon.connect() as s:
        s.sendall(text)
        s.shutdown(socket.SHUT_WR)
        data = b""
        while more := s.recv(65536):
            data += more
    return [json.loads(line) for line in data.splitlines()]


def call(method, ident=1, **params):
    return json.dumps({"jsonrpc": "2.0", "id": ident, "method": method, "params": params}).encode()


def test_ports_are_a_table_that_lines_up(switch):
    lines = switch.ctl("ports").stdout.splitlines()
    assert lines[0].split() == ["PORT", "TYPE", "STATE", "LINK", "QUEUES", "REGIONS", "RX-FRAMES",
                                "RX-BYTES", "TX-FRAMES", "TX-BYTES", "DROPS"]
    assert lines[1].split() == ["a", "vhost-user", "waiting", "down"] + ["0"] * 7
    for title in ("TYPE", "STATE", "LINK"):
        assert lines[1][lines[0].index(title) - 1] == " "
    assert len(set(map(len, lines))) == 1


def test_ports_come_and_go_while_it_runs(switch, place):
    assert switch.ctl("add", f"vhost-user,name=c,socket={place}/c.sock,mtu=9000,queues=2"
                      ).returncode == 0
    port = switch.port("c")
    assert (port["mtu"], port["pairs_offered"], port["socket"]) == (9000, 2, f"{place}/c.sock")
    assert (place / "c.sock").exists()
    assert [p["name"] for p in switch.json("ports")] == ["a", "b", "c"]
    assert switch.ctl("remove", "b").returncode == 0
    assert [p["name"] for p in switch.json("ports")] == ["a", "c"]
    assert not (place / "b.sock").exists()
    assert switch.ctl("add", f"vhost-user,name=b,socket={place}/b.sock").returncode == 0


def test_a_removed_port_closes_its_session(switch, place):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(30)
        s.connect(str(place / "a.sock"))
        switch.has_state("a", "connected")
        assert switch.ctl("remove", "a").returncode == 0
        assert s.recv(1) == b""


def test_adding_and_removing_leaks_nothing(switch, place):
    def files():
        return len(os.listdir(f"/proc/{switch.process.pid}/fd"))

    def once():
        assert switch.ctl("add", f"vhost-user,name=c,socket={place}/c.sock").returncode == 0
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(place / "c.sock"))
            switch.has_state("c", "connected")
            assert switch.ctl("remove", "c").returncode == 0

    once()
    before = files()
    for _ in range(20):
        once()
    until(lambda: files() <= before, "as many files as before")


@pytest.mark.parametrize("spec, text", [
    ("vhost-user,name=a,socket=/tmp/x.sock", "a port named a is there already"),
    ("vhost-user,name=c,socket=/tmp/x.sock,group=no/such",
     "port c: key 'group': got 'no/such', expected a group of this system"),
    ("vhost-user,name=c,socket=/no/such/place/x",
     "port c: key 'socket': /no/such/place/x: No such file"),
])
def test_what_cannot_be_added_is_explained(switch, spec, text):
    answer = switch.ctl("add", spec)
    assert answer.returncode == 1
    assert text in answer.stderr
    assert len(switch.json("ports")) == 2


@pytest.mark.parametrize("spec, text", [
    ("vhost-user,name=c", "key 'socket': missing, a vhost-user port needs it"),
    ("vhost-user,name=c,socket=/tmp/x,mtu=9", "key 'mtu': got '9', expected a number from 68"),
    ("vhost-user,name=c,size=9", "unknown key 'size', expected one of name, socket"),
    ("foo,name=x", "add 'foo,name=x': key 'type': got 'foo', expected vhost-user or tap"),
])
def test_what_is_no_port_is_a_usage_error(switch, spec, text):
    answer = switch.ctl("add", spec)
    assert answer.returncode == 2
    assert text in answer.stderr
    assert len(switch.json("ports")) == 2


def test_ports_that_are_not_there_are_named(switch):
    for words in (["port", "x"], ["remove", "x"], ["link", "x", "up"]):
        answer = switch.ctl(*words)
        assert (answer.returncode, answer.stderr) == (
            1, "slipring ctl: no port named 'x', expected one of a, b\n")
    switch.ctl("remove", "a")
    switch.ctl("remove", "b")
    assert "no port named 'x', there are none" in switch.ctl("port", "x").stderr


def test_a_socket_of_its_own_is_known_without_asking(switch, place):
    os.symlink(place, place / "link")
    for path in (place / "a.sock", place / "link" / "a.sock"):
        answer = switch.ctl("add", f"vhost-user,name=c,socket={path}")
        assert "port c: key 'socket': port a has this already" in answer.stderr
    answer = switch.ctl("add", f"vhost-user,name=c,socket={switch.control}")
    assert "key 'socket': this is the daemon's control socket" in answer.stderr
    assert switch.port("a")["sessions"] == 0


def test_the_cable_is_plugged_and_unplugged(switch):
    assert switch.ctl("link", "a", "down").returncode == 0
    assert switch.port("a")["plugged"] is False
    assert switch.ctl("link", "a", "up").returncode == 0
    assert switch.port("a")["plugged"] is True
    answer = switch.ctl("link", "a", "sideways")
    assert answer.returncode == 2
    assert "link a: got 'sideways', expected up or down" in answer.stderr


def test_an_unplugged_port_shows_as_off(switch):
    def link():
        return switch.ctl("ports").stdout.splitlines()[1].split()[3]

    assert link() == "down"
    switch.ctl("link", "a", "down")
    assert (link(), switch.json("ports")[0]["plugged"]) == ("off", False)
    switch.ctl("link", "a", "up")
    assert link() == "down"


def test_the_log_gets_louder_and_quieter(switch):
    assert switch.ctl("log", "error").returncode == 0
    switch.ctl("remove", "a")
    assert "port removed" not in switch.log()
    assert "info  slipring: log level error from now on" in switch.log()
    assert switch.ctl("log", "info").returncode == 0
    switch.ctl("remove", "b")
    switch.logs("b: port removed")
    assert "expected error, warn, info or debug" in switch.ctl("log", "x").stderr


def test_any_method_may_be_called(switch):
    answer = switch.ctl("call", "port.show", '{"name": "a"}')
    assert json.loads(answer.stdout)["name"] == "a"
    assert switch.ctl("call", "port.show", "{name").returncode == 2
    assert "unknown method 'x'" in switch.ctl("call", "x").stderr


def test_nobody_listening_is_said_with_what_to_do(place):
    answer = run("ctl", "--socket", place / "x.sock", "ports")
    assert answer.returncode == 1
    assert (f"no daemon listens on {place}/x.sock: start one with slipring switch or slipring "
            "serve, or name its socket with --socket") in answer.stderr


def test_a_socket_that_is_not_the_control_socket_is_told(switch, place):
    answer = run("ctl", "--socket", place / "a.sock", "ports")
    assert answer.returncode == 1
    assert "is this a daemon's control socket?" in answer.stderr
    answer = run("ctl", "--socket", place / "log", "ports")
    assert answer.returncode == 1
    assert f"{place}/log is not a socket, expected a daemon's control socket" in answer.stderr
    answer = run("ctl", "--socket", "", "ports")
    assert answer.returncode == 2
    assert "--socket: got '', expected the path" in answer.stderr


@pytest.mark.parametrize("words, text", [
    (["port"], "expected port NAME"),
    (["prots"], "unknown command 'prots', expected one of ports, port, add"),
    ([], "no command given, expected one of ports"),
    (["ports", "--watch", "0"], "--watch: got '0', expected seconds"),
    (["port", "a", "--watch", "1"], "--watch: not with port, only with ports"),
    (["log", "foo"], "log: got 'foo', expected error, warn, info or debug"),
])
def test_wrong_words_are_a_usage_error(words, text):
    answer = run("ctl", *words)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert text in answer.stderr


def test_a_relative_socket_is_relative_to_the_caller(switch, place):
    (place / "sub").mkdir()
    answer = run("ctl", "--socket", switch.control, "add", "vhost-user,name=c,socket=c.sock",
                 cwd=place / "sub")
    assert answer.returncode == 0, answer.stderr
    assert switch.port("c")["socket"] == f"{place}/sub/c.sock"
    deep = place / ("x" * 100)
    deep.mkdir()
    answer = run("ctl", "--socket", switch.control, "add", "vhost-user,name=d,socket=d.sock",
                 cwd=deep)
    assert answer.returncode == 1
    assert "expected at most 107 bytes" in answer.stderr


@pytest.mark.parametrize("words", [["ports"], ["--json", "ports"], ["ports", "--watch", "1"],
                                   ["--json", "ports", "--watch", "1"]])
def test_what_cannot_be_written_is_an_error(switch, words):
    with open("/dev/full", "w") as full:
        answer = subprocess.run([BINARY, "ctl", "--socket", str(switch.control), *words],
                                stdout=full, stderr=subprocess.PIPE, text=True, timeout=30)
    assert answer.returncode == 1
    assert "slipring: can't write to standard output" in answer.stderr


def test_numbers_may_be_numbers_in_json(switch, place):
    reply, = rpc(switch, call("port.add", type="vhost-user", name="c", mtu=1500,
                              socket=f"{place}/c.sock"))
    assert reply["result"]["mtu"] == 1500
    reply, = rpc(switch, call("port.add", type="vhost-user", name="d", permissions=660,
                              socket=f"{place}/d.sock"))
    assert reply["error"] == {"code": -32602,
                              "message": "key 'permissions': got 660, expected a string"}
    reply, = rpc(switch, call("port.show", name=[1]))
    assert reply["error"]["message"] == "key 'name': got [1], expected a string"


def test_each_error_has_its_code(switch, place):
    def code(text):
        reply, = rpc(switch, text)
        return reply["error"]["code"]

    assert code(b"{\n") == -32700
    assert code(b"[]") == -32600
    assert code(call("nope")) == -32601
    assert code(call("port.show")) == -32602
    assert code(call("port.show", name="x")) == -32001
    assert code(call("port.add", type="tap", name="a")) == -32002
    assert code(call("port.add", type="vhost-user", name="c", socket="/no/such/c")) == -32000


def test_requests_in_one_stream_are_answered_in_order(switch):
    text = call("version", 1) + call("port.list", 2) + b"\nnonsense\n" + call("version", 3)
    replies = rpc(switch, text)
    assert [r["id"] for r in replies] == [1, 2, None, 3]
    batch, = rpc(switch, b"[" + call("version", 1) + b"," + call("version", 2) + b"]")
    assert [r["id"] for r in batch] == [1, 2]


def test_a_client_that_never_reads_holds_up_nobody(switch):
    with switch.connect() as lazy:
        lazy.setblocking(False)
        try:
            while True:
                lazy.sendall(call("port.list") * 100)
        except BlockingIOError:
            pass
        assert len(switch.json("ports")) == 2


def test_many_clients_never_lock_the_operator_out(switch):
    idle = [switch.connect() for _ in range(40)]
    assert len(switch.json("ports")) == 2
    for s in idle:
        s.close()


def test_traffic_flows_while_ports_come_and_go(switch, place):
    bench = subprocess.Popen([BINARY, "bench", "net", "--seconds", "600", "--size", "64",
                              "--peer", f"{place}/b.sock", f"{place}/a.sock"],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    switch.has_state("b", "running")
    until(lambda: switch.port("b")["counters"]["rx_frames"] > 0, "frames arrive")
    for _ in range(10):
        before = switch.port("b")["counters"]["rx_frames"]
        assert switch.ctl("add", f"vhost-user,name=c,socket={place}/c.sock").returncode == 0
        assert switch.ctl("remove", "c").returncode == 0
        until(lambda: switch.port("b")["counters"]["rx_frames"] > before, "frames go on")
    port = switch.port("a")
    assert "VERSION_1" in port["features"] and port["memory"][0]["size"] > 0
    assert {m["port"] for m in switch.json("macs")} == {"a", "b"}
    bench.kill()
    bench.communicate()
    switch.has_state("a", "waiting")


def test_watch_prints_rates_again_and_again(switch):
    with subprocess.Popen([BINARY, "ctl", "--socket", str(switch.control), "ports", "--watch",
                           "1"], stdout=subprocess.PIPE, text=True) as watch:
        titles = [watch.stdout.readline() for _ in range(8)][::4]
        watch.kill()
    assert [t.split()[0] for t in titles] == ["PORT", "PORT"]


def test_watch_for_programs_is_an_array_a_line(switch):
    with subprocess.Popen([BINARY, "ctl", "--socket", str(switch.control), "--json", "ports",
                           "--watch", "1"], stdout=subprocess.PIPE, text=True) as watch:
        lines = [json.loads(watch.stdout.readline()) for _ in range(2)]
        watch.kill()
    assert [[p["name"] for p in line] for line in lines] == [["a", "b"]] * 2


def test_watch_says_that_the_daemon_has_ended(switch):
    with subprocess.Popen([BINARY, "ctl", "--socket", str(switch.control), "ports", "--watch",
                           "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as watch:
        watch.stdout.readline()
        switch.end()
        errors = watch.communicate(timeout=30)[1]
    assert errors.endswith("control.sock: the daemon has gone away\n")
    assert watch.returncode == 1


def test_all_that_is_shown_is_in_the_manual(switch):
    page = pathlib.Path(__file__).parents[2] / "man" / "slipring.1"
    text = page.read_text().split(".SH COLUMNS AND COUNTERS")[1].split(".SH ")[0]
    words = set(text.replace("\\-", "-").split())
    port = switch.port("a")
    shown = {*port, *port["counters"], *switch.ctl("ports").stdout.splitlines()[0].split()}
    assert shown - words == set()
