"""Counts in redis. Speaks its protocol by hand, so that nothing needs to be installed."""
import http.server
import os
import socket
import sys


def count():
    address = "127.0.0.1", int(os.environ["EXAMPLE_PORTS"] + "9")
    with socket.create_connection(address, timeout=2) as s:
        s.sendall(b"INCR visits\r\n")
        return int(s.makefile().readline().removeprefix(":"))


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            text = "well\n"
            if self.path != "/health":
                text = f"visit {count()}, by instance {os.environ['INSTANCE']}\n"
            self.send_response(200)
        except OSError as e:
            text = f"redis: {e}\n"
            self.send_response(503)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args):
        if self.path != "/health":
            super().log_message(*args)


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
