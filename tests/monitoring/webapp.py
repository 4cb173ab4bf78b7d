"""A web server for the images of a test: it answers with one status, and
serves metrics about that. Arguments: address, port, status, load.

POST to `/break` makes it answer 500 from then on, and POST to `/mend` 200."""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

told: list[int] = []


class Handler(BaseHTTPRequestHandler):
    """Answers `/metrics` with metrics and all else with the status."""

    def do_GET(self) -> None:
        """One request."""
        status, load = int(sys.argv[3]), sys.argv[4]
        status = told[0] if told else status
        body = f"answered with {status}\n"
        if self.path == "/metrics":
            body = f"app_errors {int(status >= 400)}\napp_load {load}\n"
            status = 200
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())

    def do_POST(self) -> None:
        """Another status from now on."""
        told[:] = [500 if self.path == "/break" else 200]
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
