"""A web server that is handed its listening socket (sd_listen_fds(3)), and drops no request."""
import os
import signal
import socket
import socketserver
import threading
from http.server import BaseHTTPRequestHandler


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"process %d\n" % os.getpid())

    def log_message(self, *args):
        pass


def handed(name):
    """Returns the socket of that name: those from 3 on are for us if LISTEN_PID says so."""
    if os.environ.get("LISTEN_PID") == str(os.getpid()):
        names = os.environ["LISTEN_FDNAMES"].split(":")
        return socket.socket(fileno=3 + names.index(name))
    raise SystemExit("no sockets were handed over: run it under a supervisor")


server = socketserver.ThreadingTCPServer(None, Handler, bind_and_activate=False)
server.socket.close()
server.socket = handed("http")
# Another process may have the same socket, and take the connection that woke us both.
server.socket.setblocking(False)
# No more is accepted from here on; what was accepted is answered before server_close returns.
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
    manager.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
server.serve_forever(poll_interval=0.1)
server.server_close()
