# SPDX-License-Identifier: BSD-3-Clause
"""slipring blk and slipring scsi, as QEMU's conventions for back-end programs have them."""
import json
import os
import signal
import socket
import subprocess
import time

import pytest
from conftest import BINARY, PATIENCE_S, run, until

MIB = 1 << 20


@pytest.fixture
def image(place):
    path = place / "d.img"
    path.touch()
    os.truncate(path, 8 * MIB)
    return path


def program(start, place, *args):
    return start(*args, f"--socket-path={place}/d.sock", wait=f"d: listening on {place}/d.sock")


@pytest.mark.parametrize("command, capabilities", [
    ("blk", {"type": "block", "features": ["read-only", "blk-file"]}),
    ("scsi", {"type": "scsi", "features": []}),
])
def test_capabilities_are_printed_whatever_else_is_said(command, capabilities):
    for words in ([], ["--nonsense"], ["--socket-path=/no/such/place", "x"]):
        answer = run(command, *words, "--print-capabilities")
        assert (answer.returncode, answer.stderr) == (0, "")
        assert json.loads(answer.stdout) == capabilities


@pytest.mark.parametrize("command", ["blk", "scsi"])
def test_a_program_knows_itself_by_its_name(place, command):
    link = place / f"slipring-vhost-user-{command}"
    link.symlink_to(BINARY)
    answer = subprocess.run([link, "--print-capabilities"], text=True, capture_output=True,
                            timeout=PATIENCE_S)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert json.loads(answer.stdout)["type"] in ("block", "scsi")
    answer = subprocess.run([link, "--help"], text=True, capture_output=True, timeout=PATIENCE_S)
    assert answer.returncode == 0 and "--socket-path" in answer.stdout


def test_a_file_is_served_until_sigterm(start, place, image):
    d = program(start, place, "blk", f"--blk-file={image}", "--num-queues=3", "--serial=abc",
                "--cache=writethrough", "--block-size=4096", "--permissions=0666")
    device, disk = d.json("devices")[0], d.json("disks")[0]
    assert (device["name"], device["type"], device["state"]) == ("d", "blk", "waiting")
    assert (disk["size"], disk["block_size"], disk["read_only"]) == (8 * MIB, 4096, False)
    device = d.json("device", "d")
    assert (device["queues_offered"], device["serial"], device["cache"]) == (
        3, "abc", "writethrough")
    assert (place / "d.sock").stat().st_mode & 0o777 == 0o666
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(place / "d.sock"))
        assert d.end() == 0
    assert not (place / "d.sock").exists()


def test_read_only_is_read_only(start, place, image):
    image.chmod(0o444)
    d = program(start, place, "blk", f"--blk-file={image}", "--read-only")
    assert d.json("disks")[0]["read_only"] and d.json("device", "d")["read_only"]


def test_the_log_says_why_requests_of_the_guest_failed(start, place, image):
    d = program(start, place, "blk", f"--blk-file={image}")
    os.truncate(image, 4 * MIB)  # behind its back
    answer = run("bench", "blk", place / "d.sock", "--seconds", "0.2")
    assert answer.returncode == 1 and "requests failed" in answer.stderr
    told = [line for line in d.log().splitlines() if " failed: Input/output error" in line]
    assert len(told) == 1, d.log()
    assert told[0].startswith(f"warn  disk: {image}: read of 4096 bytes at offset "), told


def test_an_interrupted_measurement_reports_what_it_has(start, place):
    program(start, place, "blk", "--disk=mem,size=1M")
    child = subprocess.Popen([BINARY, "bench", "blk", place / "d.sock", "--seconds=600", "--json",
                              "--rw=randrw", "--verify", "--destroy-data"], text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(1)
    child.send_signal(signal.SIGINT)
    out, errors = child.communicate(timeout=PATIENCE_S)
    assert child.returncode == -signal.SIGINT, errors
    if "interrupted before anything was measured" not in errors:  # a slow machine
        report = json.loads(out)
        assert 0 < report["seconds"] < 600 and report["failed"] == 0
        assert report["verified"]["blocks"] > 0


def test_another_disk_instead_of_a_file(start, place):
    d = program(start, place, "blk", "--disk=mem,name=m,size=1M,iops=100")
    disk = d.json("disk", "m")
    assert (disk["type"], disk["size"], disk["iops"]) == ("mem", MIB, 100)


def test_by_itself_there_is_no_control_socket(start, place, image):
    d = start("blk", f"--blk-file={image}", f"--socket-path={place}/d.sock", control=False,
              wait="d: listening")
    assert sorted(p.name for p in place.iterdir()) == ["d.img", "d.sock", "log"]
    assert d.end() == 0


def test_a_listening_socket_may_be_handed_over(place, image):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place / "mine.sock"))
        listener.listen(1)
        child = subprocess.Popen([BINARY, "blk", f"--fd={listener.fileno()}",
                                  f"--blk-file={image}"], pass_fds=[listener.fileno()],
                                 stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(PATIENCE_S)
            s.connect(str(place / "mine.sock"))
            s.sendall((1).to_bytes(4, "little") + (1).to_bytes(4, "little") + bytes(4))
            assert len(s.recv(20)) == 20  # the features
    finally:
        child.terminate()
        errors = child.communicate(timeout=PATIENCE_S)[1]
    assert child.returncode == 0, errors


def test_a_connection_may_be_handed_over_and_the_program_ends_with_it(image):
    for goodbye in ("polite", "rude", "at once"):
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                child = subprocess.Popen([BINARY, "blk", f"--fd={theirs.fileno()}",
                                          f"--blk-file={image}"], pass_fds=[theirs.fileno()],
                                         stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                         text=True)
            ours.settimeout(PATIENCE_S)
            if goodbye != "at once":
                ours.sendall((1).to_bytes(4, "little") + (1).to_bytes(4, "little") + bytes(4))
                assert len(ours.recv(20)) == 20  # the features
            if goodbye == "rude":
                ours.sendall(b"\xff" * 12)
        errors = child.communicate(timeout=PATIENCE_S)[1]
        assert child.returncode == 0, errors
        assert "ends: the connection passed by --fd is closed" in errors
        assert ("session ended" in errors) == (goodbye == "rude")


def test_a_connection_handed_over_may_be_cut_by_sigterm(image):
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            child = subprocess.Popen([BINARY, "scsi", f"--fd={theirs.fileno()}",
                                      f"--lun=0:0={image}"], pass_fds=[theirs.fileno()],
                                     stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        ours.settimeout(PATIENCE_S)
        ours.sendall((1).to_bytes(4, "little") + (1).to_bytes(4, "little") + bytes(4))
        assert len(ours.recv(20)) == 20
        child.terminate()
        assert ours.recv(1) == b""
    errors = child.communicate(timeout=PATIENCE_S)[1]
    assert child.returncode == 0, errors


@pytest.mark.parametrize("words, code, text", [
    (["blk"], 2, "expected one of --blk-file=PATH and --disk=TYPE,KEY=VALUE..."),
    (["blk", "--blk-file=x"], 2, "no socket given, expected --socket-path=PATH or --fd=N"),
    (["blk", "--blk-file=x", "--disk=mem,size=1M"], 2, "expected one of --blk-file=PATH and"),
    (["blk", "--fd=x"], 2, "--fd: got 'x', expected the number of a file descriptor"),
    (["blk", "--fd=0"], 1, "--fd: file descriptor 0 is no unix stream socket that listens or is "),
    (["blk", "--fd=99"], 1, "--fd: file descriptor 99 is no unix stream socket that listens or "),
    (["blk", "--num-queues=0"], 2, "--num-queues: got '0', expected a number from 1 to 256"),
    (["blk", "--cache=none"], 2, "--cache: got 'none', expected writeback or writethrough"),
    (["blk", "--serial=a-serial-of-21-bytes-x"], 2, "--serial: got 'a-serial-of-21-bytes-x', "
     "expected 1 to 20 bytes of text"),
    (["blk", "--block-size=1000"], 2, "--block-size: got '1000', expected auto, 512 or 4096"),
    (["blk", "x"], 2, "unexpected 'x', expected only options"),
    (["blk", "--disk=mem", "--socket-path=PLACE/s"], 2,
     "--disk: key 'size': missing, a mem disk needs it"),
    (["blk", "--socket-path=PLACE/s", "--blk-file=PLACE/no"], 1,
     "slipring: --blk-file: PLACE/no: No such file or directory\n"),
    (["blk", "--disk=mem,size=1000", "--socket-path=PLACE/s"], 1,
     "slipring: --disk: key 'size': 1000 bytes, expected a positive multiple of its block size"),
    (["blk", "--socket-path=PLACE/s", "--blk-file=PLACE"], 1, "slipring: --blk-file: "),
    (["scsi", "--socket-path=PLACE/s", "--lun=0:0=mem,size=1M", "--lun=1:2=mem,size=1000,name=x"],
     1, "slipring: --lun 1:2: key 'size': 1000 bytes, expected"),
    (["blk", "--socket-path=PLACE/no/s", "--disk=mem,size=1M"], 1,
     "slipring: --socket-path: PLACE/no/s: No such file or directory\n"),
    (["scsi", "--socket-path=PLACE/s"], 2, "no disk given, expected --lun=TARGET:LUN=DISK, or "
     "--control for slipring ctl to bring some"),
    (["scsi", "--lun=0:0"], 2, "--lun '0:0': expected TARGET:LUN=DISK, such as 0:0=disk.img"),
    (["scsi", "--lun=256:0=x"], 2,
     "--lun '256:0=x': key 'target': got '256', expected a number from 0 to 255"),
    (["scsi", "--lun=0:0=mem,size=1M,frob=1"], 2,
     "--lun '0:0=mem,size=1M,frob=1': unknown key 'frob', expected one of name, size, "),
    (["scsi", "--lun=0:0=x", "--lun=0:0=y"], 2,
     "--lun '0:0=y': this target and unit number is taken already"),
    (["scsi", "--socket-path=PLACE/s", "--lun=0:0=PLACE/no"], 1,
     "slipring: --lun 0:0: key 'path': PLACE/no: No such file"),
])
def test_what_is_wrong_is_said_early_and_in_one_line(place, words, code, text):
    answer = run(*(w.replace("PLACE", str(place)) for w in words))
    assert answer.returncode == code, answer.stderr
    assert text.replace("PLACE", str(place)) in answer.stderr
    if code == 1:
        assert len(answer.stderr.splitlines()) == 1


def test_a_scsi_host_has_its_units(start, place, image):
    d = program(start, place, "scsi", f"--lun=0:0={image}",
                "--lun=3:1=mem,size=2M,serial=s,vendor=v,product=p", "--num-queues=2")
    assert [(x["name"], x["type"], x["size"]) for x in d.json("disks")] == [
        ("0:0", "file", 8 * MIB), ("3:1", "mem", 2 * MIB)]
    device = d.json("device", "d")
    assert [(u["target"], u["lun"], u["disk"]) for u in device["units"]] == [
        (0, 0, "0:0"), (3, 1, "3:1")]
    assert device["queues_offered"] == 2
    assert d.end() == 0


def test_a_scsi_host_that_only_reads(start, place, image):
    image.chmod(0o444)
    d = program(start, place, "scsi", f"--lun=0:0={image}", "--read-only")
    assert d.json("disks")[0]["read_only"]


def test_a_scsi_host_may_start_empty_and_be_filled(start, place):
    d = program(start, place, "scsi")
    assert d.ctl("add-disk", "mem,name=m,size=1M").returncode == 0
    assert d.ctl("add-lun", "d", "0:0=m").returncode == 0
    until(lambda: d.json("disk", "m")["users"] == ["d 0:0"], "attached")
