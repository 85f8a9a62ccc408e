"""An HTTP server on this machine for tests: clients that hang up leave no traceback in what a test has captured."""

import http.server
import sys
from typing import Any


class QuietServer(http.server.ThreadingHTTPServer):
    """Drops the report of a connection that the client ended; all other errors are shown."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)
