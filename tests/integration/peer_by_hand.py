"""Somebody who speaks the nodes' protocol without their program: TLS, HTTP/2, gRPC and frames by hand, as far as it takes to
say what no honest node says. net/wire/FORMAT.md is what it follows, up to where it does not.
"""
import os
import socket
import ssl
import struct
import threading
import zlib

CONTROL, BULK = 0, 1
METHODS = ("/eddl.v1.Peer/Control", "/eddl.v1.Peer/Bulk")
PROTOCOL = 2  # GrpcTransport::kProtocolMin


def context_of(identity=None):
    """TLS that trusts everybody, and shows the certificate of that folder."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    if identity is not None:
        context.load_cert_chain(identity / "certificate.pem", identity / "key.pem")
    return context


def connect(address, timeout=10):
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=timeout)


def varint(value):
    out = b""
    while value > 0x7f:
        out, value = out + bytes([value & 0x7f | 0x80]), value >> 7
    return out + bytes([value])


def field(number, value):
    """Of a protobuf message: a number, or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def opening(job_id, node, lane, connection):
    inside = field(1, PROTOCOL) + field(2, PROTOCOL) + field(3, job_id.encode()) + field(4, node)
    inside += (field(6, lane) if lane else b"") + field(7, connection)
    return field(18, inside)


def frame(sequence, parcel):
    """One that carries a parcel and no payload."""
    head = struct.pack("<4sHHQQQII", b"EDFR", 1, 1, sequence, 0, 0, len(parcel), 0)
    return head + struct.pack("<II", zlib.crc32(head + parcel), 0) + parcel


def http2(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def headers(path):
    """Of a gRPC call, each as a literal."""
    lines = [(":method", "POST"), (":scheme", "https"), (":path", path), (":authority", "eddl"),
             ("content-type", "application/grpc"), ("te", "trailers")]
    return b"".join(b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
                    for name, value in lines)


class Peer:
    """A connection with both lanes, opened as the node whose certificate lies in that folder."""

    def __init__(self, address, identity, job_id):
        self.socket = context_of(identity).wrap_socket(connect(address))
        self.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + http2(4, 0, 0, b""))
        node = int((identity / "node").read_text())
        connection = int.from_bytes(os.urandom(7), "big") | 1
        for lane in (CONTROL, BULK):
            self.socket.sendall(http2(1, 4, self.stream_of(lane), headers(METHODS[lane])))
            self.send(lane, frame(0, opening(job_id, node, lane, connection)))

    @staticmethod
    def stream_of(lane):
        return 2 * lane + 1

    def send(self, lane, message):
        self.socket.sendall(http2(0, 0, self.stream_of(lane), b"\0" + struct.pack(">I", len(message)) + message))

    def wait_for_end(self, lane):
        """Until the other side ends the stream or the connection; False: it says nothing for long."""
        try:
            while True:
                head = self.read(9)
                kind, flags, stream = head[3], head[4], struct.unpack(">I", head[5:])[0]
                self.read(int.from_bytes(head[:3], "big"))
                if stream == self.stream_of(lane) and (kind == 3 or kind == 1 and flags & 1):
                    return True
        except (EOFError, ConnectionError, ssl.SSLError):
            return True
        except TimeoutError:
            return False

    def read(self, count):
        out = b""
        while len(out) < count:
            some = self.socket.recv(count - len(out))
            if not some:
                raise EOFError
            out += some
        return out

    def close(self):
        self.socket.close()


class Call(Peer):
    """A call of a method on a connection of its own: it sends nothing more, but answers pings as somebody who is there does."""

    def __init__(self, address, identity, path):
        self.socket = context_of(identity).wrap_socket(connect(address))
        self.socket.settimeout(None)
        self.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + http2(4, 0, 0, b""))
        self.socket.sendall(http2(1, 4, self.stream_of(CONTROL), headers(path)))
        self.ended = threading.Event()
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        try:
            while not self.ended.is_set():
                head = self.read(9)
                kind, flags, stream = head[3], head[4], struct.unpack(">I", head[5:])[0]
                payload = self.read(int.from_bytes(head[:3], "big"))
                if kind == 6 and not flags & 1:
                    self.socket.sendall(http2(6, 1, 0, payload))
                elif stream == self.stream_of(CONTROL) and (kind == 3 or kind == 1 and flags & 1):
                    self.ended.set()
        except (EOFError, OSError, ValueError):
            self.ended.set()

    def wait_for_end(self, seconds):
        return self.ended.wait(seconds)
