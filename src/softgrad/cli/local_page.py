"""One page over HTTP, for this machine alone."""

from __future__ import annotations

import contextlib
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

__all__ = ["LocalPage"]


class LocalPage(ThreadingHTTPServer):
    """Answers on 127.0.0.1; names of other sites that lead here are refused.

    Raises
    ------
    OSError
        The port is taken, or not ours to take.
    """

    daemon_threads = True

    def __init__(self, page: str, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.page = page.encode()
        self.hosts = {f"{name}:{self.server_port}" for name in ("127.0.0.1", "localhost")}

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.server_port}/"

    def until_interrupted(self) -> None:
        """Answer until Ctrl-C."""
        with contextlib.suppress(KeyboardInterrupt):
            self.serve_forever()


class _Handler(BaseHTTPRequestHandler):
    server: LocalPage
    server_version = "softgrad"
    sys_version = ""
    _HEADERS: ClassVar = {
        "Content-Type": "text/html; charset=utf-8",
        "Cache-Control": "no-store",
        "Content-Security-Policy": "frame-ancestors 'none'",
        "Cross-Origin-Resource-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
    }

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, with_body: bool) -> None:
        status = self._status()
        body = self.server.page if status is HTTPStatus.OK else f"{status.phrase}\n".encode()
        self.send_response(status)
        for name, value in self._HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def _status(self) -> HTTPStatus:
        # A site whose name is made to lead to 127.0.0.1 still sends its own name.
        origins = {None, *(f"http://{host}" for host in self.server.hosts)}
        if self.headers["Host"] not in self.server.hosts or self.headers["Origin"] not in origins:
            return HTTPStatus.FORBIDDEN
        return HTTPStatus.OK if self.path == "/" else HTTPStatus.NOT_FOUND

    def log_message(self, *_: object) -> None:
        """Say nothing: who asks is the one who started it."""
