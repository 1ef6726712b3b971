"""Weir over NNG from Python: plain sockets and msgpack, as docs/protocol.md says it.

With pynng the class Line below is one line: pynng.Req0(dial=url); mind that a REQ socket sends again
by itself after a lost connection, so give every command an idempotency_key then.
"""
import json
import os
import socket
import ssl
import struct
import uuid

import msgpack

GREETING = b"\0SP\0" + struct.pack(">HH", 0x30, 0)  # a REQ socket
ANSWERED = b"\0SP\0" + struct.pack(">HH", 0x31, 0)  # a REP socket


class Lost(Exception):
    """The connection was lost after the request had left."""


class Refused(Exception):
    """The service answered with a problem (RFC 9457)."""

    def __init__(self, problem):
        super().__init__(f"{problem.get('status')} {problem.get('detail')}")
        self.problem = problem


class Line:
    """One connection; requests go out and answers come back in any order, matched by number."""

    def __init__(self, url, timeout=30):
        if url.startswith("ipc://"):
            self.ipc = True
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(timeout)
            self.sock.connect(url[len("ipc://"):])
        else:
            host, port = url.split("tcp://", 1)[1].rsplit(":", 1)
            host = host.strip("[]")
            self.ipc = False
            self.sock = socket.create_connection((host, int(port)), timeout)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if url.startswith("tls+"):
                trust = ssl.create_default_context(cafile=os.environ.get("WEIR_TLS_CA"))
                self.sock = trust.wrap_socket(self.sock, server_hostname=host)
        self.sock.sendall(GREETING)
        if self._exactly(8) != ANSWERED:
            raise Lost("the peer is no REP socket")
        self.number = 0

    def _exactly(self, n):
        parts = []
        while n:
            part = self.sock.recv(min(n, 1 << 20))
            if not part:
                raise Lost("the connection was closed")
            parts.append(part)
            n -= len(part)
        return b"".join(parts)

    def send(self, message):
        self.number = (self.number + 1) & 0x7FFFFFFF
        request = struct.pack(">I", 0x80000000 | self.number) + message
        self.sock.sendall((b"\1" if self.ipc else b"") + struct.pack(">Q", len(request)) + request)
        return self.number

    def receive(self):
        """(number, answer) of whichever request is answered next."""
        if self.ipc and self._exactly(1) != b"\1":
            raise Lost("no message")
        answer = self._exactly(struct.unpack(">Q", self._exactly(8))[0])
        return struct.unpack(">I", answer[:4])[0] & 0x7FFFFFFF, answer[4:]


class Client:
    """One request after the other."""

    def __init__(self, url, timeout=30):
        self.url, self.timeout, self.line = url, timeout, None

    def ask(self, **request):
        """The answer map. Reconnects and sends again only what may be sent again."""
        again = request["op"] != "commands" and (request["op"] != "command" or "idempotency_key" in request)
        message = msgpack.packb(request)
        for attempt in (1, 2):
            try:
                if self.line is None:
                    self.line = Line(self.url, self.timeout)
                number = self.line.send(message)
                while True:
                    got, answer = self.line.receive()
                    if got == number:
                        return msgpack.unpackb(answer)
            except (OSError, Lost) as e:
                self.line = None
                if attempt == 2 or not again:
                    raise Lost(f"{e}; a command may have been executed") from e

    def command(self, name, args, **fields):
        """{"command_id", "result", "position"}; each call has a key, so that it can be sent again."""
        fields.setdefault("idempotency_key", uuid.uuid4().hex)
        return self._body(self.ask(op="command", name=name, args=json.dumps(args), **fields))

    def query(self, model, *key, **fields):
        return self._body(self.ask(op="query", model=model, key=[str(k) for k in key], **fields))

    @staticmethod
    def _body(answer):
        if not answer["ok"]:
            raise Refused(json.loads(answer["problem"]))
        return json.loads(answer["body"])


def from_environment(what):
    return Client(os.environ[what])
