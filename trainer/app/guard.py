"""Lets in only requests that come from the page itself: the right Host, Origin and token."""

from __future__ import annotations

import secrets
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# The page loads its own script and style, and nothing else; inline styles place the bars of probabilities.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; img-src data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    'Content-Security-Policy': _POLICY,
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    'Cross-Origin-Resource-Policy': 'same-origin',
    # A site that has opened the page by its address keeps no hold on the tab.
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cache-Control': 'no-store',
}


class Guard:
    """An ASGI application around another one, which never sees what is refused.

    A page of another site cannot reach the application: it does not know the token in the path, and its requests have
    its own ``Origin``. A name that it points to this machine afterwards is not among the hosts. A link to the page
    itself may be followed from anywhere, such as the terminal of JupyterLab: only the user sees what it leads to.

    Parameters
    ----------
    app : the application; it sees the path without the token.
    token : the first part of each path.
    hosts : what ``Host`` may be; None: anything, for other machines.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: Collection[str] | None):
        self._app, self._token, self._hosts = app, token, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope['type'] != 'http':
            return
        token, slash, path = scope['path'].removeprefix('/').partition('/')
        headers = Headers(scope=scope)
        problem = self._problem(
            headers, token, is_followed=scope['method'] == 'GET' and not path and _opens_tab(headers)
        )
        if problem:
            await PlainTextResponse(f'{problem}\n', 403, _HEADERS)(scope, receive, send)
        elif not slash:
            await RedirectResponse(f'/{token}/', headers=_HEADERS)(scope, receive, send)
        else:
            inner = {**scope, 'path': f'/{path}', 'raw_path': f'/{path}'.encode()}
            await self._app(inner, receive, _with_headers(send))

    def _problem(self, headers: Headers, token: str, is_followed: bool) -> str | None:
        host, origin = headers.get('host', ''), headers.get('origin')
        if self._hosts is not None and host not in self._hosts:
            return 'This Host is not this program: use the address that sero-app has printed.'
        if origin is not None and origin != f'http://{host}':
            return 'This request comes from another site.'
        if headers.get('sec-fetch-site', 'none') not in ('none', 'same-origin') and not is_followed:
            return 'This request comes from another site.'
        if not secrets.compare_digest(token.encode(), self._token.encode()):
            return 'The token in the address is missing or wrong: use the address that sero-app has printed.'
        return None


def _opens_tab(headers: Headers) -> bool:
    """Whether a browser is about to show the answer as a page of its own, and in no frame."""
    return (headers.get('sec-fetch-mode'), headers.get('sec-fetch-dest')) == ('navigate', 'document')


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message['type'] == 'http.response.start':
            MutableHeaders(scope=message).update(_HEADERS)
        await send(message)

    return sent
