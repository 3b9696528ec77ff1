# SPDX-License-Identifier: BSD-3-Clause
"""slipring serve: a switch from a YAML file."""
import pytest
from conftest import run


@pytest.fixture
def write(place):
    def writer(text):
        path = place / "s.yaml"
        path.write_text(text.replace("PLACE", str(place)))
        return path
    return writer


GOOD = """\
threads: 2
poll-us: 0
control:
  socket: PLACE/control.sock
  permissions: 0660
ports:
  - type: vhost-user
    name: a
    socket: PLACE/a.sock
    mac: 52:54:00:12:34:56
  - type: vhost-user
    name: b
    socket: PLACE/b.sock
    mode: client
"""


def test_a_file_becomes_a_switch(start, place, write):
    d = start("serve", write(GOOD), control=False, wait="b: connecting")
    assert d.json("version")["threads"] == 2
    assert [p["name"] for p in d.json("ports")] == ["a", "b"]
    assert d.port("a")["mac"] == "52:54:00:12:34:56"
    assert d.port("b")["mode"] == "client"
    assert (place / "control.sock").stat().st_mode & 0o777 == 0o660
    assert d.end() == 0


def test_check_only_reads(place, write):
    path = write(GOOD)
    answer = run("serve", "--check", path)
    assert (answer.returncode, answer.stdout) == (0, f"{path}: right, 2 ports\n")
    assert [p.name for p in place.iterdir()] == ["s.yaml"]


@pytest.mark.parametrize("old, new, error", [
    ("mode: client", "mode: x", "14: key 'ports[1].mode': got 'x', expected server or client"),
    ("threads: 2", "threads: two",
     "1: key 'threads': got 'two', expected a number from 1 to 64"),
    ("  permissions: 0660", "  permission: 0660",
     "5: key 'control.permission': unknown, expected one of socket, permissions, group"),
    ("name: b", "name: a",
     "12: key 'ports[1].name': got 'a', which ports[0] on line 8 has already"),
    ("    socket: PLACE/b.sock\n", "",
     "11: key 'ports[1].socket': missing, a vhost-user port needs it"),
    ("type: vhost-user\n    name: b", "type: tap\n    name: b",
     "13: key 'ports[1].socket': not for a tap port, expected one of type, name, interface"),
    ("poll-us: 0", "poll-us: [0]",
     "2: key 'poll-us': got a list or mapping, expected one value"),
])
def test_an_error_names_file_line_key_and_expectation(write, old, new, error):
    assert old in GOOD
    path = write(GOOD.replace(old, new))
    for words in (["serve"], ["serve", "--check"]):
        answer = run(*words, path)
        assert answer.returncode == 1
        assert answer.stderr == f"slipring: {path}:{error}\n"


@pytest.mark.parametrize("old, new, error", [
    ("PLACE/a.sock", "PLACE/no/a.sock",
     "9: key 'ports[0].socket': PLACE/no/a.sock: No such file or directory"),
    ("    mac: 52:54:00:12:34:56", "    group: no/such",
     "10: key 'ports[0].group': got 'no/such', expected a group of this system"),
    ("threads: 2", "cpus: [4000]", "1: key 'cpus': got 4000: there is no such CPU, or this "
     "process may not use it"),
    ("PLACE/control.sock", "PLACE/no/c.sock", "4: key 'control.socket': control socket "
     "PLACE/no/c.sock: No such file or directory: its directory must be there; give "
     "control.socket another path"),
    ("  permissions: 0660", "  group: no/such",
     "5: key 'control.group': got 'no/such', expected a group of this system"),
])
def test_what_fails_only_at_the_start_names_its_key_too(place, write, old, new, error):
    assert old in GOOD
    path = write(GOOD.replace(old, new))
    assert run("serve", "--check", path).returncode == 0
    answer = run("serve", path)
    assert answer.returncode == 1
    assert answer.stderr.splitlines()[-1] == f"slipring: {path}:{error}".replace(
        "PLACE", str(place))


def test_a_switch_that_could_never_have_a_port_is_refused(write):
    path = write("control:\n  socket: none\n")
    answer = run("serve", "--check", path)
    assert answer.returncode == 1
    assert answer.stderr == (f"slipring: {path}:2: key 'control.socket': got 'none' without any "
                             "port or device: there would never be one\n")


def test_one_port_is_one_port(write):
    path = write("ports: [{type: tap, name: t}]\n")
    assert run("serve", "--check", path).stdout == f"{path}: right, 1 port\n"


def test_text_that_is_no_yaml_is_told_its_line(write):
    answer = run("serve", "--check", write("threads: 2\nports: [}\n"))
    assert answer.returncode == 1
    assert ":2: " in answer.stderr


def test_a_file_that_is_not_there_is_said(place):
    answer = run("serve", place / "none.yaml")
    assert answer.returncode == 1
    assert answer.stderr == f"slipring: {place}/none.yaml: No such file or directory\n"
