"""A web server for the images of a test: it answers with one status for ever, and
serves metrics about that. Arguments: address, port, status, load."""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Answers `/metrics` with metrics and all else with the status."""

    def do_GET(self) -> None:
        """One request."""
        status, load = int(sys.argv[3]), sys.argv[4]
        body = f"answered with {status}\n"
        if self.path == "/metrics":
            body = f"app_errors {int(status >= 400)}\napp_load {load}\n"
            status = 200
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
