"""The device's side of the adb protocol, for the real adb client and server: what Android's adbd does for `adb shell`.

Source: protocol.txt and shell_protocol.h of the Android Open Source Project. A shell of this machine stands for the
device's.
"""

from __future__ import annotations

import queue
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

HEADER = struct.Struct("<4s5I")
PACKET = struct.Struct("<BI")
VERSION = 0x01000001
MOST_BYTES = 256 * 1024
TOKEN, SIGNATURE = 1, 2
STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = range(5)


@contextmanager
def adb_device(login: Path, model: str) -> Iterator[FakeAdbd]:
    """A device that listens on a free port; `login -c COMMAND` is its shell."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        device = FakeAdbd(server, login, model)
        threading.Thread(target=device.serve, daemon=True).start()
        try:
            yield device
        finally:
            server.close()
            device.cut()


@dataclass
class FakeAdbd:
    """A device; `cut` is what pulling its cable does."""

    server: socket.socket
    login: Path
    model: str
    locked: bool = False
    """Nobody has allowed USB debugging."""
    transports: list[Transport] = field(default_factory=list)

    @property
    def address(self) -> str:
        """What `adb connect` takes, and the serial that it then has."""
        return f"127.0.0.1:{self.server.getsockname()[1]}"

    def serve(self) -> None:
        """Take connections of adb servers until the device is gone."""
        with suppress(OSError):
            while True:
                connection, _ = self.server.accept()
                transport = Transport(connection, self)
                self.transports.append(transport)
                threading.Thread(target=transport.serve, daemon=True).start()

    def cut(self) -> None:
        """Lose all connections."""
        for transport in self.transports:
            with suppress(OSError):
                transport.connection.shutdown(socket.SHUT_RDWR)
        self.transports.clear()


class Transport:
    """One connection of an adb server, which carries streams."""

    def __init__(self, connection: socket.socket, device: FakeAdbd) -> None:
        self.connection, self.device = connection, device
        self.streams: dict[int, Shell] = {}
        self.sending = threading.Lock()

    def serve(self) -> None:
        """Answer messages until the connection is lost."""
        with self.connection, suppress(OSError, EOFError):
            while True:
                command, first, second, size, _, _ = HEADER.unpack(self._take(HEADER.size))
                self._answer(command, first, second, self._take(size))
        for stream in list(self.streams.values()):
            stream.close()

    def send(self, command: bytes, first: int, second: int, payload: bytes = b"") -> None:
        """One message; the version says that its checksum is not looked at."""
        magic = struct.unpack("<I", command)[0] ^ 0xFFFFFFFF
        with self.sending, suppress(OSError):
            self.connection.sendall(HEADER.pack(command, first, second, len(payload), 0, magic) + payload)

    def _answer(self, command: bytes, theirs: int, ours: int, payload: bytes) -> None:
        if self.device.locked:
            # It asks for a signature, and whoever holds it has not said that this one is good.
            if command == b"CNXN" or (command == b"AUTH" and theirs == SIGNATURE):
                self.send(b"AUTH", TOKEN, 0, bytes(20))
        elif command == b"CNXN":
            banner = f"device::ro.product.name=fake;ro.product.model={self.device.model};features=shell_v2,cmd"
            self.send(b"CNXN", VERSION, MOST_BYTES, banner.encode())
        elif command == b"OPEN":
            name, _, line = payload.rstrip(b"\0").decode().partition(":")
            if not name.startswith("shell,v2") or ",raw" not in name:
                self.send(b"CLSE", 0, theirs)
                return
            number = max(self.streams, default=0) + 1
            self.streams[number] = Shell(self, number, theirs, line)
            self.send(b"OKAY", number, theirs)
            self.streams[number].start()
        elif ours in self.streams:
            stream = self.streams[ours]
            if command == b"WRTE":
                stream.heard.put(payload)
            elif command == b"OKAY":
                stream.may_write.release()
            elif command == b"CLSE":
                stream.close()

    def _take(self, size: int) -> bytes:
        taken = b""
        while len(taken) < size:
            more = self.connection.recv(size - len(taken))
            if not more:
                raise EOFError
            taken += more
        return taken


class Shell:
    """The service `shell,v2,raw:LINE`: packets of stdin in, packets of stdout, stderr and the exit code out."""

    def __init__(self, transport: Transport, ours: int, theirs: int, line: str) -> None:
        self.transport, self.ours, self.theirs = transport, ours, theirs
        self.heard: queue.Queue[bytes | None] = queue.Queue()
        self.may_write = threading.Semaphore(1)
        self.writing = threading.Lock()
        self.closed = False
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [transport.device.login, "-c", line], stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )

    def start(self) -> None:
        """Begin to pass on what is said and heard."""
        speakers = [
            threading.Thread(target=self._speak, args=(kind, stream), daemon=True)
            for kind, stream in ((STDOUT, self.process.stdout), (STDERR, self.process.stderr))
        ]
        for thread in (*speakers, threading.Thread(target=self._hear, daemon=True)):
            thread.start()
        threading.Thread(target=self._end, args=(speakers,), daemon=True).start()

    def close(self) -> None:
        """The other side is gone: stdin ends, and nobody hears what is said."""
        self.closed = True
        self.heard.put(None)
        self.may_write.release()

    def _hear(self) -> None:
        stdin, rest = self.process.stdin, b""
        assert stdin
        with suppress(OSError, ValueError):
            while (payload := self.heard.get()) is not None:
                rest += payload
                while len(rest) >= PACKET.size:
                    kind, size = PACKET.unpack_from(rest)
                    if len(rest) < PACKET.size + size:
                        break
                    data, rest = rest[PACKET.size : PACKET.size + size], rest[PACKET.size + size :]
                    if kind == STDIN:
                        stdin.write(data)
                        stdin.flush()
                    elif kind == CLOSE_STDIN:
                        stdin.close()
                self.transport.send(b"OKAY", self.ours, self.theirs)
        with suppress(OSError):
            stdin.close()

    def _speak(self, kind: int, stream: IO[bytes]) -> None:
        while data := stream.read1(32 * 1024):  # type: ignore[attr-defined]
            self._write(PACKET.pack(kind, len(data)) + data)
        stream.close()

    def _write(self, payload: bytes) -> None:
        with self.writing:
            self.may_write.acquire()
            if self.closed:
                self.may_write.release()
            else:
                self.transport.send(b"WRTE", self.ours, self.theirs, payload)

    def _end(self, speakers: list[threading.Thread]) -> None:
        code = self.process.wait()
        for thread in speakers:
            thread.join()
        self._write(PACKET.pack(EXIT, 1) + bytes([code if code >= 0 else 128 - code]))
        self.may_write.acquire()
        self.transport.send(b"CLSE", self.ours, self.theirs)
        self.heard.put(None)
        self.transport.streams.pop(self.ours, None)
