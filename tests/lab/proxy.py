# SPDX-License-Identifier: BSD-3-Clause
"""Stands between a front-end and a back-end, passes everything on, descriptors too, and takes
protocol features out of the back-end's answer: what would a back-end without them be like?"""
import os
import socket
import struct
import threading
import time

GET_PROTOCOL_FEATURES = 15
INFLIGHT_SHMFD = 12
HEADER = 12


def _exactly(sock, size):
    data = b''
    while len(data) < size:
        part = sock.recv(size - len(data))
        if not part:
            raise OSError('the stream ends within a message')
        data += part
    return data


def _receive(sock):
    """One message with its descriptors; None at the end of the stream."""
    data, fds, _, _ = socket.recv_fds(sock, HEADER, 64)
    if not data:
        return None
    data += _exactly(sock, HEADER - len(data))
    return data + _exactly(sock, struct.unpack_from('<I', data, 8)[0]), fds


class Proxy(threading.Thread):
    """Listens on `front`; each session there is one on `back`."""

    def __init__(self, front, back, hide):
        super().__init__(daemon=True)
        self.back = back
        self.mask = sum(1 << bit for bit in hide)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(front)
        self.listener.listen()
        self.start()

    def run(self):
        while True:
            try:
                front, _ = self.listener.accept()
            except OSError:
                return
            back = socket.socket(socket.AF_UNIX)
            try:
                back.connect(self.back)
            except OSError:  # the front-end comes again, as it would to the back-end itself
                front.close()
                back.close()
                time.sleep(0.02)
                continue
            for pair in ((front, back, 0), (back, front, self.mask)):
                threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source, target, mask):
        try:
            while True:
                message = _receive(source)
                if not message:
                    break
                data, fds = message
                if mask and struct.unpack_from('<I', data)[0] == GET_PROTOCOL_FEATURES:
                    value = struct.unpack_from('<Q', data, HEADER)[0] & ~mask
                    data = data[:HEADER] + struct.pack('<Q', value) + data[HEADER + 8:]
                sent = socket.send_fds(target, [data], fds) if fds else target.send(data)
                for fd in fds:
                    os.close(fd)
                target.sendall(data[sent:])
        except OSError:
            pass
        for s in (source, target):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
