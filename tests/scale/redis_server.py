"""A redis-server of Debian's package, on a free port of loopback, with a password; ended with its block."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme

PASSWORD = "a-password-of-the-test"
PATIENCE = 60.0


class RedisServer:
    """A server that can be stopped and started again with what it has written to its folder."""

    def __init__(self, folder: Path, authority: trustme.CA | None = None) -> None:
        self._folder = folder
        self._authority = authority
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        scheme = "rediss" if self._authority else "redis"
        return f"{scheme}://:{PASSWORD}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        command = ["redis-server", "--bind", "127.0.0.1", "--requirepass", PASSWORD, *self._port_options()]
        command += ["--dir", str(self._folder), "--appendonly", "yes", "--save", ""]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until = time.monotonic() + PATIENCE
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < until, "redis-server does not answer"
            time.sleep(0.02)

    def _port_options(self) -> list[str]:
        if self._authority is None:
            return ["--port", str(self.port)]
        certificate = self._authority.issue_cert("127.0.0.1")
        key, chain = self._folder / "key.pem", self._folder / "chain.pem"
        certificate.private_key_pem.write_to_path(str(key))
        certificate.cert_chain_pems[0].write_to_path(str(chain))
        options = ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no"]
        return [
            *options,
            "--tls-cert-file",
            str(chain),
            "--tls-key-file",
            str(key),
            "--tls-ca-cert-file",
            str(chain),
        ]

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE)
            self._process = None

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1.0) as connection:
                if self._authority is not None:
                    return True  # it listens, and has no data to load
                connection.sendall(
                    b"PING\r\n"
                )  # without the password: it refuses once it has loaded its data
                return connection.recv(100).startswith(b"-NOAUTH")
        except OSError:
            return False


@contextmanager
def redis_server(folder: Path, authority: trustme.CA | None = None) -> Iterator[RedisServer]:
    """A running server whose data are in `folder`; one with an authority speaks TLS alone."""
    assert shutil.which("redis-server"), "install redis-server, or run `nox -s scale`, which does"
    server = RedisServer(folder, authority)
    server.start()
    try:
        yield server
    finally:
        server.stop()
