# SPDX-License-Identifier: MIT
"""A minimal Varlink client: JSON objects, each ended by a NUL byte."""
import json
import socket

from .waiting import DEADLINE

INTERFACE = "org.sockq.Control"


class VarlinkError(Exception):
    def __init__(self, name, parameters):
        super().__init__(f"{name}: {parameters}")
        self.name = name.removeprefix(INTERFACE + ".")
        self.parameters = parameters


class Varlink:
    def __init__(self, path, deadline=DEADLINE):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(deadline)
        self.sock.connect(path)
        self._input = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, method, parameters=None, **flags):
        call = {"method": method if "." in method else f"{INTERFACE}.{method}", **flags}
        if parameters:
            call["parameters"] = parameters
        self.send_raw(json.dumps(call).encode() + b"\0")

    def send_raw(self, data):
        self.sock.sendall(data)

    def receive(self):
        """One reply as it came, or None at the end of the connection."""
        while b"\0" not in self._input:
            try:
                piece = self.sock.recv(65536)
            except ConnectionError:
                return None
            if not piece:
                return None
            self._input += piece
        message, self._input = self._input.split(b"\0", 1)
        return json.loads(message)

    def reply(self):
        """The parameters of one reply; raises VarlinkError."""
        message = self.receive()
        assert message is not None, "the daemon closed the control connection"
        if "error" in message:
            raise VarlinkError(message["error"], message.get("parameters", {}))
        return message.get("parameters", {})

    def call(self, method, parameters=None, **keywords):
        self.send(method, {**(parameters or {}), **keywords})
        return self.reply()

    def stream(self, method, parameters=None, **keywords):
        """Every reply of a `more` call."""
        self.send(method, {**(parameters or {}), **keywords}, more=True)
        while True:
            message = self.receive()
            assert message is not None, "the daemon closed the control connection"
            if "error" in message:
                raise VarlinkError(message["error"], message.get("parameters", {}))
            yield message.get("parameters", {})
            if not message.get("continues"):
                return
