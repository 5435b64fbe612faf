#!/usr/bin/env python3
"""What the self-test runs on its devices: senders and receivers on plain sockets, threads that burn; prints JSON."""
import ctypes
import hashlib
import json
import pathlib
import socket
import sys
import threading
import time

PATIENCE_SECONDS = 10
PERIOD_SECONDS = 0.02
PIECE = bytes(65_536)


def connect(host, port):
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            connection = socket.create_connection((host, port), timeout=PATIENCE_SECONDS)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


def receive_all(connection, results):
    count, begin = 0, time.monotonic()
    while piece := connection.recv(1 << 20):
        count += len(piece)
    results.append(count * 8e-6 / (time.monotonic() - begin))


def receive(host, port, senders):
    results = []
    with socket.create_server((host, int(port)), backlog=8) as server:
        server.settimeout(PATIENCE_SECONDS)
        threads = [threading.Thread(target=receive_all, args=(server.accept()[0], results)) for _ in range(int(senders))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return {"mbps": results}


def send(host, port, seconds):
    with connect(host, int(port)) as connection:
        end = time.monotonic() + float(seconds)
        while time.monotonic() < end:
            connection.sendall(PIECE)
    return {}


def echo(host, port):
    with socket.create_server((host, int(port))) as server:
        server.settimeout(PATIENCE_SECONDS)
        connection, _ = server.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while word := connection.recv(64):
            connection.sendall(word)
    return {}


def ask(host, port, seconds):
    times = []
    with connect(host, int(port)) as connection:
        end = time.monotonic() + float(seconds)
        while time.monotonic() < end:
            begin = time.monotonic()
            connection.sendall(b"request")
            connection.recv(64)
            times.append(1e3 * (time.monotonic() - begin))
            time.sleep(PERIOD_SECONDS)
    return {"milliseconds": times}


def burn_thread(name, seconds, results):
    ctypes.CDLL(None).pthread_setname_np(ctypes.c_ulong(threading.get_ident()), name.encode())
    time.sleep(0.3)  # until it is in its group
    wall, cpu = time.monotonic(), time.thread_time()
    block = bytes(1 << 20)
    while time.monotonic() - wall < seconds:
        hashlib.sha256(block)  # without the interpreter's lock
    results[name] = (time.thread_time() - cpu) / (time.monotonic() - wall)


def burn(seconds):
    results = {}
    threads = [threading.Thread(target=burn_thread, args=(name, float(seconds), results))
               for name in ("eddl-compute", "eddl-other")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"compute": results["eddl-compute"], "other": results["eddl-other"]}


def testbed():
    """A testbed with a program in it, which waits to be killed."""
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
    import bed
    import network
    import processes
    with bed.Testbed() as built:
        built.network.add(1, network.Rates(10, 10))
        program = processes.Program("sleeper", built.network.namespace(1), ["sleep", "600"], "/dev/null", "/dev/null")
        program.start()
        print(built.tag, program.pid, flush=True)
        time.sleep(600)
    return {}


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))
