# SPDX-License-Identifier: BSD-3-Clause
"""Disks and devices of a running daemon: they come, change and go by slipring ctl."""
import json
import os
import socket
import subprocess

import pytest
from conftest import BINARY, run, until

YAML = """\
control:
  socket: PLACE/control.sock
disks:
  - type: file
    name: d0
    path: PLACE/d0.img
  - {type: mem, name: d1, size: 64M, iops: 1000}
  - {type: "null", name: d2, size: 1G, fault-error-share: 0}
blk:
  - name: b0
    disk: d0
    socket: PLACE/b0.sock
scsi:
  - name: s0
    socket: PLACE/s0.sock
    luns: ["0:0=d1", "1:0=d2,serial=abc"]
"""
MIB = 1 << 20


@pytest.fixture
def write(place):
    (place / "d0.img").touch()
    os.truncate(place / "d0.img", 16 * MIB)

    def writer(text):
        path = place / "d.yaml"
        path.write_text(text.replace("PLACE", str(place)))
        return path
    return writer


@pytest.fixture
def daemon(start, place, write):
    return start("serve", write(YAML), control=False, wait=f"s0: listening on {place}/s0.sock")


def names(daemon, what):
    return [x["name"] for x in daemon.json(what)]


def refused(daemon, *words):
    answer = daemon.ctl(*words)
    assert answer.returncode == 1, (words, answer.stdout, answer.stderr)
    assert answer.stderr.startswith("slipring ctl: ")
    return answer.stderr.removeprefix("slipring ctl: ").rstrip("\n")


def done(daemon, *words):
    answer = daemon.ctl(*words)
    assert (answer.returncode, answer.stderr) == (0, ""), words
    return answer.stdout


def test_a_file_brings_disks_and_devices(daemon):
    disks = {d["name"]: d for d in daemon.json("disks")}
    assert [d["type"] for d in disks.values()] == ["file", "mem", "null"]
    assert [d["size"] for d in disks.values()] == [16 * MIB, 64 * MIB, 1024 * MIB]
    assert [d["users"] for d in disks.values()] == [["b0"], ["s0 0:0"], ["s0 1:0"]]
    assert disks["d1"]["iops"] == 1000
    devices = {d["name"]: d for d in daemon.json("devices")}
    assert (devices["b0"]["type"], devices["b0"]["disk"]) == ("blk", "d0")
    assert devices["s0"]["units"] == [
        {"target": 0, "lun": 0, "disk": "d1", "state": "attached"},
        {"target": 1, "lun": 0, "disk": "d2", "state": "attached"}]
    assert all(d["state"] == "waiting" for d in devices.values())


def test_a_restart_brings_them_back_and_forgets_what_ctl_changed(daemon, start, place, write):
    done(daemon, "add-disk", "mem,name=d9,size=1M")
    done(daemon, "limit", "d1", "iops=7")
    assert daemon.end() == 0
    assert not (place / "b0.sock").exists() and not (place / "s0.sock").exists()
    again = start("serve", write(YAML), control=False, wait=None)
    until(lambda: again.log().count("s0: listening") == 2, "listening again")
    assert names(again, "disks") == ["d0", "d1", "d2"]
    assert again.json("disk", "d1")["iops"] == 1000


def test_tables_line_up(daemon):
    lines = done(daemon, "disks").splitlines()
    assert lines[0].split() == ["DISK", "TYPE", "SIZE", "BLOCK", "ACCESS", "IOPS-LIMIT",
                                "BYTES/S-LIMIT", "USERS"]
    assert lines[2].split() == ["d1", "mem", "64M", "512", "rw", "1000", "-", "s0", "0:0"]
    assert all(line[lines[0].index("USERS") - 1] == " " for line in lines)
    lines = done(daemon, "devices").splitlines()
    assert lines[0].split() == ["DEVICE", "TYPE", "STATE", "QUEUES", "IN-FLIGHT", "REQUESTS",
                                "READ-BYTES", "WRITTEN-BYTES", "FAILED", "DISKS"]
    assert lines[2].split() == ["s0", "scsi", "waiting"] + ["0"] * 6 + ["d1,", "d2"]
    assert all(line[lines[0].index("DISKS") - 1] == " " for line in lines)


def test_details_are_shown_for_people(daemon, place):
    text = done(daemon, "disk", "d0")
    assert f"path:                 {place}/d0.img\n" in text
    assert "users:                b0\n" in text
    text = done(daemon, "device", "s0")
    assert "units:                0:0 d1\n                      1:0 d2\n" in text
    assert "counters:\n  commands:           0\n" in text
    assert "serial:               b0\n" in done(daemon, "device", "b0")


def test_disks_and_devices_come_and_go(daemon, place):
    done(daemon, "add-disk", "mem,name=d3,size=4M,block-size=4096")
    assert daemon.json("disk", "d3")["block_size"] == 4096
    done(daemon, "add-blk", f"name=b3,disk=d3,socket={place}/b3.sock,queues=2,serial=x,"
         "cache=writethrough,permissions=0660")
    device = daemon.json("device", "b3")
    assert (device["queues_offered"], device["serial"]) == (2, "x")
    assert (place / "b3.sock").stat().st_mode & 0o777 == 0o660
    done(daemon, "add-scsi", f"name=s3,socket={place}/s3.sock", "0:0=d1", "0:1=d2,serial=abc")
    assert len(daemon.json("device", "s3")["units"]) == 2
    assert daemon.json("disk", "d1")["users"] == ["s0 0:0", "s3 0:0"]
    done(daemon, "remove-device", "b3")
    done(daemon, "remove-device", "s3")
    done(daemon, "remove-disk", "d3")
    assert names(daemon, "devices") == ["b0", "s0"]
    assert names(daemon, "disks") == ["d0", "d1", "d2"]
    assert not (place / "b3.sock").exists()


def test_a_relative_path_is_that_of_ctl(daemon, place):
    sub = place / "sub"
    sub.mkdir()
    (sub / "x.img").write_bytes(bytes(MIB))
    for words in (["add-disk", "file,name=x,path=x.img"],
                  ["add-blk", "name=x,disk=x,socket=x.sock"]):
        answer = run("ctl", "--socket", daemon.control, *words, cwd=sub)
        assert answer.returncode == 0, answer.stderr
    assert daemon.json("disk", "x")["path"] == f"{sub}/x.img"
    assert (sub / "x.sock").exists()


def test_units_come_and_go(daemon):
    done(daemon, "add-disk", "mem,name=d3,size=4M")
    done(daemon, "add-lun", "s0", "0:5=d3,serial=x,vendor=V,product=P")
    assert {"target": 0, "lun": 5, "disk": "d3", "state": "attached"} in (
        daemon.json("device", "s0")["units"])
    assert "disk d3 is in use by s0 0:5" == refused(daemon, "remove-disk", "d3")
    done(daemon, "remove-lun", "s0", "0:5")
    assert len(daemon.json("device", "s0")["units"]) == 2
    done(daemon, "remove-disk", "d3")


def test_a_disk_is_resized(daemon, place):
    assert done(daemon, "resize", "d0", "24M") == "d0: 24M\n"
    assert (place / "d0.img").stat().st_size == 24 * MIB
    os.truncate(place / "d0.img", 32 * MIB)
    assert daemon.json("disk", "d0")["size"] == 24 * MIB
    assert done(daemon, "resize", "d0") == "d0: 32M\n"
    assert daemon.json("disk", "d0")["size"] == 32 * MIB
    assert refused(daemon, "resize", "d0", "8M") == (
        "disk d0 has 33554432 bytes: 8388608 are fewer, and what is behind them would be lost; say "
        "shrink if that is meant")
    assert (place / "d0.img").stat().st_size == 32 * MIB
    assert done(daemon, "--shrink", "resize", "d0", "8M") == "d0: 8M\n"
    assert (place / "d0.img").stat().st_size == 8 * MIB
    assert done(daemon, "resize", "d0", "--shrink", "4M") == "d0: 4M\n"


def test_limits_change_one_by_one(daemon):
    done(daemon, "limit", "d1", "bytes-per-second=20M,bytes-burst=1M")
    disk = daemon.json("disk", "d1")
    assert (disk["iops"], disk["bytes_per_second"], disk["bytes_burst"]) == (1000, 20 * MIB, MIB)
    done(daemon, "limit", "d1", "iops=0")
    disk = daemon.json("disk", "d1")
    assert (disk["iops"], disk["bytes_per_second"]) == (0, 20 * MIB)
    done(daemon, "limit", "d0", "iops=5")
    assert daemon.json("disk", "d0")["iops"] == 5


def test_faults_are_for_disks_made_for_them(daemon):
    done(daemon, "fault", "d2", "ops=write,error-share=0.5,delay-ms=3,offset=4K,length=1M")
    assert refused(daemon, "fault", "d1", "error-share=1") == (
        "disk d1 was not made for faults: add it with a key such as fault-error-share=0")


@pytest.mark.parametrize("words, text", [
    (["disk", "x"], "no disk named 'x', expected one of d0, d1, d2"),
    (["resize", "x"], "no disk named 'x', expected one of d0, d1, d2"),
    (["device", "x"], "no device named 'x', expected one of b0, s0"),
    (["remove-device", "x"], "no device named 'x', expected one of b0, s0"),
    (["remove-disk", "d0"], "disk d0 is in use by b0"),
    (["remove-disk", "d1"], "disk d1 is in use by s0 0:0"),
    (["add-disk", "mem,name=d0,size=1M"], "a disk named d0 is there already"),
    (["add-disk", "file,name=x,path=/no/such"],
     "disk x: key 'path': /no/such: No such file or directory"),
    (["add-disk", "mem,name=x,size=1000"], "disk x: key 'size': 1000 bytes, expected a positive "),
    (["add-blk", "name=b0,disk=d0,socket=/tmp/x"], "a device named b0 is there already"),
    (["add-blk", "name=x,disk=dx,socket=/tmp/x"],
     "blk device x: key 'disk': got 'dx', expected the name of a disk"),
    (["add-blk", "name=x,disk=d0,socket=/tmp/x"],
     "blk device x: key 'disk': got 'd0', which device b0 uses: only SCSI units share a disk, or devices "
     "that are all read-only"),
    (["add-blk", "name=x,disk=d0,socket=PLACE/s0.sock"],
     "blk device x: key 'socket': device s0 has this already"),
    (["add", "vhost-user,name=x,socket=PLACE/s0.sock"],
     "port x: key 'socket': device s0 has this already"),
    (["add-scsi", "name=x,socket=PLACE/control.sock"],
     "scsi device x: key 'socket': this is the daemon's control socket"),
    (["add-scsi", "name=x,socket=PLACE/x.sock,group=no/such"],
     "scsi device x: key 'group': got 'no/such', expected a group of this system"),
    (["add-scsi", "name=x,socket=PLACE/x.sock", "0:0=dx"],
     "unit 0:0: key 'disk': got 'dx', expected the name of a disk"),
    (["add-lun", "b0", "0:0=d1"], "unit 0:0: b0 is no SCSI device"),
    (["add-lun", "s0", "0:0=d2"], "unit 0:0: key 'lun': unit 0:0 is there already"),
    (["add-lun", "s0", "0:1=d1"],
     "unit 0:1: key 'disk': got 'd1', which unit 0:0 is: a disk is one unit of a target"),
    (["add-lun", "s0", "2:0=d2,serial=other"],
     "unit 2:0: key 'serial': got 'other', but the disk is a unit already and its serial is "
     "'abc'"),
    (["add-lun", "s0", "2:0=d0"], "unit 2:0: key 'disk': got 'd0', which device b0 uses: only SCSI"),
    (["remove-lun", "s0", "7:0"], "device s0 has no unit 7:0"),
])
def test_what_cannot_be_done_is_explained(daemon, place, words, text):
    words = [w.replace("PLACE", str(place)) for w in words]
    assert refused(daemon, *words).startswith(text)
    until(lambda: names(daemon, "devices") == ["b0", "s0"], "nothing was added")
    assert names(daemon, "disks") == ["d0", "d1", "d2"]


@pytest.mark.parametrize("words, text", [
    (["add-disk", "disk,name=x"],
     "add-disk 'disk,name=x': key 'type': got 'disk', expected file, mem, null, nbd or rbd"),
    (["add-disk", "file,name=x"], "key 'path': missing, a file disk needs it"),
    (["add-blk", "name=x"], "add-blk 'name=x': key 'disk': missing, a blk device needs it"),
    (["add-lun", "s0", "d1"], "add-lun 'd1': expected TARGET:LUN=DISK, such as 0:0=d0"),
    (["add-scsi", "name=x,socket=/tmp/x", "0"], "add-scsi '0': expected TARGET:LUN=DISK"),
    (["remove-lun", "s0", "0:0=d1"], "remove-lun '0:0=d1': expected TARGET:LUN such as 0:1"),
    (["limit", "d0", "iops"], "limit d0: 'iops': key 'iops': no value, expected iops=..."),
    (["limit", "d0", "size=1"], "unknown key 'size', expected one of iops, iops-burst, "
     "bytes-per-second, bytes-burst"),
    (["fault", "d2", "error-share=2"],
     "fault d2: 'error-share=2': key 'error-share': got '2', expected a share from 0 to 1"),
    (["resize"], "expected resize NAME [SIZE]"),
    (["resize", "d0", "1X"], "resize d0: size: got '1X', expected a whole number of bytes, more "
     "than 0, such as 4096, 64K, 20M, 10G or 1T"),
    (["resize", "d0", "0"], "resize d0: size: got '0', expected a whole number of bytes"),
    (["--shrink", "disk", "d0"], "--shrink: not with disk, only with resize"),
    (["remove-lun", "s0", "x"], "remove-lun 'x': expected TARGET:LUN such as 0:1"),
    (["--watch", "1", "disks"], "--watch: not with disks, only with ports and devices"),
])
def test_wrong_usage_is_told_without_a_daemon(place, words, text):
    answer = run("ctl", "--socket", place / "none.sock", *words)
    assert answer.returncode == 2
    assert text in answer.stderr


def test_a_device_whose_guest_is_connected_goes_with_its_session(daemon, place):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(30)
        s.connect(str(place / "b0.sock"))
        until(lambda: daemon.json("device", "b0")["state"] == "connected", "connected")
        done(daemon, "remove-device", "b0")
        assert s.recv(1) == b""
    done(daemon, "remove-disk", "d0")


def guest(path, kind):
    return subprocess.Popen([BINARY, "bench", kind, str(path), "--seconds", "600"],
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("kind", ["blk", "scsi"])
def test_what_is_stuck_is_removed_when_it_moves_again(daemon, place, kind):
    """An hour's delay stands for a server that does not answer."""
    def state():
        return daemon.json("device", "x")["state"]

    done(daemon, "add-disk", "mem,name=x,size=1M,fault-delay-ms=3600000")
    if kind == "blk":
        done(daemon, "add-blk", f"name=x,disk=x,socket={place}/x.sock")
    else:
        done(daemon, "add-scsi", f"name=x,socket={place}/x.sock", "0:0=x")
    client = guest(place / "x.sock", kind)
    try:
        until(lambda: daemon.json("device", "x")["in_flight"], "requests under way")
        done(daemon, "call", "device.remove", '{"name": "x"}')
        assert state() == "removing"
        assert "is in use by x" in refused(daemon, "remove-disk", "x")
        assert "(removing)" in refused(daemon, "remove-disk", "x")
        assert "a device named x is there already" == refused(
            daemon, "add-blk", f"name=x,disk=d0,socket={place}/z.sock")
        done(daemon, "remove-device", "x")  # once more: only waits for it
        done(daemon, "fault", "x", "delay-ms=0")
        until(lambda: "x" not in names(daemon, "devices"), "gone")
        done(daemon, "remove-disk", "x")
    finally:
        client.kill()
        client.wait()


def test_coming_and_going_leaks_nothing(daemon, place):
    def files():
        return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))

    def once():
        done(daemon, "add-disk", f"file,name=x,path={place}/x.img,fault-delay-ms=0")
        done(daemon, "add-blk", f"name=bx,disk=x,socket={place}/bx.sock")
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(place / "bx.sock"))
        done(daemon, "remove-device", "bx")
        done(daemon, "add-scsi", f"name=sx,socket={place}/sx.sock", "0:0=x")
        done(daemon, "remove-device", "sx")
        done(daemon, "remove-disk", "x")

    (place / "x.img").write_bytes(bytes(MIB))
    once()
    before = files()
    for _ in range(10):
        once()
    until(lambda: files() <= before, "as many files as before")


def test_methods_take_numbers_and_booleans(daemon, place):
    def call(method, **params):
        return daemon.ctl("call", method, json.dumps(params))

    assert call("disk.add", type="mem", name="n", size=MIB, iops=5, **{
        "fault-error-share": 0.25}).returncode == 0
    assert call("blk.add", name="n", disk="n", socket=f"{place}/n.sock",
                **{"read-only": True}).returncode == 0
    assert daemon.json("device", "n")["read_only"] is True
    assert call("disk.limit", name="n", **{"bytes-per-second": MIB}).returncode == 0
    assert daemon.json("disk", "n")["bytes_per_second"] == MIB
    assert call("scsi.add", name="m", socket=f"{place}/m.sock", luns=[
        {"target": 3, "lun": 1, "disk": "d1"}, "3:2=d2"]).returncode == 0
    answer = call("scsi.add", name="o", socket=f"{place}/o.sock", luns=[7])
    assert "key 'luns': expected a list of texts such as \"0:0=d0\" or objects" in answer.stderr
    assert "key 'size': got true, expected" in call("disk.resize", name="n", size=True).stderr
    assert "unknown" in call("disk.limit", name="n", size=1).stderr


@pytest.mark.parametrize("old, new, error", [
    ("    disk: d0\n", "    disk: dx\n", "11: key 'blk[0].disk': got 'dx', expected one of d0, d1, "
     "d2"),
    ("    path: PLACE/d0.img\n", "    path: PLACE/d0.img\n    size: 1G\n",
     "7: key 'disks[0].size': not for a file disk, expected one of type, name, path, read-only, "),
    ("size: 64M", "size: 64MB", "7: key 'disks[1].size': got '64MB', expected a whole "
     "number of bytes, more than 0, "),
    ('"1:0=d2,serial=abc"', '"1:0=d0"', "16: key 'scsi[0].luns[1].disk': got 'd0', which blk[0] "
     "on line 10 uses: only SCSI units share a disk, or devices that are all read-only"),
    ('"1:0=d2,serial=abc"', '"1:0"', "16: key 'scsi[0].luns[1]': '1:0': expected TARGET:LUN=DISK"),
    ("name: s0", "name: b0",
     "14: key 'scsi[0].name': got 'b0', which blk[0] on line 10 has already"),
])
def test_a_mistake_in_a_file_has_its_line(write, old, new, error):
    assert old in YAML
    path = write(YAML.replace(old, new))
    answer = run("serve", "--check", path)
    assert answer.returncode == 1
    assert answer.stderr.startswith(f"slipring: {path}:{error}")


@pytest.mark.parametrize("old, new, error", [
    ("PLACE/d0.img", "PLACE/no.img", "6: key 'disks[0].path': PLACE/no.img: No such file"),
    ("PLACE/b0.sock", "PLACE/no/b0.sock", "12: key 'blk[0].socket': PLACE/no/b0.sock: No such"),
    ('"1:0=d2,serial=abc"', '"0:1=d1"', "16: key 'scsi[0].luns[1].disk': got 'd1', which unit"),
])
def test_what_fails_only_at_the_start_has_its_line_too(place, write, old, new, error):
    path = write(YAML.replace(old, new))
    assert run("serve", "--check", path).returncode == 0
    answer = run("serve", path)
    assert answer.returncode == 1
    last = answer.stderr.splitlines()[-1]
    assert last.startswith(f"slipring: {path}:{error}".replace("PLACE", str(place))), last


def test_check_counts_what_is_there(write):
    path = write(YAML)
    assert run("serve", "--check", path).stdout == f"{path}: right, 3 disks, 2 devices\n"
