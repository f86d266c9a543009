"""A server for tests: answers each connection with its name. Run as a program.

    port_server.py NAME PORT [--address A] [--share] [--only-ipv6] [--mptcp] [--user UID]

It says "up" once it listens. On SIGTERM it stops listening, and ends when it has answered all.
"""

import argparse
import os
import signal
import socket
import threading

parser = argparse.ArgumentParser()
parser.add_argument("name")
parser.add_argument("port", type=int)
parser.add_argument("--address", default="::")
parser.add_argument("--share", action="store_true")
parser.add_argument("--only-ipv6", action="store_true")
parser.add_argument("--mptcp", action="store_true")
parser.add_argument("--user", type=int, default=0)
arguments = parser.parse_args()
if arguments.user:
    os.setuid(arguments.user)

family = socket.AF_INET6 if ":" in arguments.address else socket.AF_INET
listener = socket.socket(family, socket.SOCK_STREAM, 262 if arguments.mptcp else 0)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
if arguments.share:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
if family == socket.AF_INET6:
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, arguments.only_ipv6)
listener.bind((arguments.address, arguments.port))
listener.listen(128)


def stop(*_: object) -> None:
    listener.close()


def answer(connection: socket.socket) -> None:
    with connection:
        connection.settimeout(5)
        connection.recv(1)
        connection.sendall(arguments.name.encode())


signal.signal(signal.SIGTERM, stop)
print("up", flush=True)
while True:
    try:
        accepted, _ = listener.accept()
    except OSError:
        break  # told to stop; what was accepted is answered
    threading.Thread(target=answer, args=(accepted,)).start()
