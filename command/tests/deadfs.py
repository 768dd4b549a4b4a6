"""A file system that stops answering: one file, by FUSE's own protocol (fuse(4)), as a dead server's looks."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pathlib
import struct
import threading
from typing import Iterator

import pytest

_INIT, _GETATTR, _LOOKUP, _OPEN, _FLUSH, _RELEASE, _FORGET = 26, 3, 1, 14, 25, 18, 2
_HEADER = struct.Struct("<IIQQIIII")
_ATTRIBUTES = struct.Struct("<QQQQQQIIIIIIIIII")
_libc = ctypes.CDLL(None, use_errno=True)


def _attributes(node: int) -> bytes:
    mode, size = (0o40755, 0) if node == 1 else (0o100666, 5)
    return _ATTRIBUTES.pack(node, size, 1, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def _answer(opcode: int, node: int) -> bytes | None:
    """What a request is answered with; attributes are never cached."""
    if opcode == _INIT:
        return struct.pack("<IIIIHHIIHHI7I", 7, 31, 0, 0, 12, 10, 4096, 1, 0, 0, 0, *[0] * 7)
    if opcode == _LOOKUP:
        return struct.pack("<QQQQII", 2, 0, 0, 0, 0, 0) + _attributes(2)
    if opcode == _GETATTR:
        return struct.pack("<QII", 0, 0, 0) + _attributes(node)
    if opcode == _OPEN:
        return struct.pack("<QII", 0, 0, 0)
    return b"" if opcode in (_FLUSH, _RELEASE) else None


class DeadFileSystem:
    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.is_dead = threading.Event()
        self.is_waited_for = threading.Event()
        try:
            self._device = os.open("/dev/fuse", os.O_RDWR)
        except OSError as error:
            pytest.skip(f"no FUSE: {error}")
        options = f"fd={self._device},rootmode=40000,user_id=0,group_id=0,allow_other"
        if _libc.mount(b"dead", os.fsencode(folder), b"fuse", 0, options.encode()) != 0:
            os.close(self._device)
            pytest.skip(f"no FUSE: {os.strerror(ctypes.get_errno())}")
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                request = os.read(self._device, 1 << 17)
            except OSError:  # Unmounted.
                return
            _, opcode, unique, node, *_ = _HEADER.unpack_from(request)
            # What has been read and is not answered cannot even be killed.
            if self.is_dead.is_set() or opcode == _FORGET:
                if opcode != _FORGET:
                    self.is_waited_for.set()
                continue
            answer = _answer(opcode, node)
            error = 0 if answer is not None else -38  # ENOSYS
            body = answer or b""
            os.write(self._device, struct.pack("<IiQ", 16 + len(body), error, unique) + body)

    def end(self) -> None:
        """Whoever waits for an answer gets an error."""
        _libc.umount2(os.fsencode(self.folder), 1 | 2)  # MNT_FORCE | MNT_DETACH
        self._thread.join()
        os.close(self._device)


@contextlib.contextmanager
def dead_file_system(folder: pathlib.Path) -> Iterator[DeadFileSystem]:
    folder.mkdir()
    system = DeadFileSystem(folder)
    try:
        yield system
    finally:
        system.end()
