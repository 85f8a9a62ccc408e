"""The addresses of the page, below its token."""

from __future__ import annotations

import dataclasses
import math
import pathlib

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from beam_pipelines.cli.command import os_error_words
from beam_pipelines.errors import UserError
from beam_pipelines.recordings.cell_files import is_ignored
from beam_pipelines.recordings.reading_options import SpikeCutting
from trainer.app.pages import Pages
from trainer.app.reading_form import FieldError, read_form
from trainer.app.results import NWB_ZIP, TABLES, Results
from trainer.app.session import Session, SessionFile
from trainer.app.traces import LEAST_STRETCH_S, Traces
from trainer.app.uploads import UploadRefused, Uploads
from trainer.evaluation.results import ClassifiedCell


@dataclasses.dataclass(frozen=True)
class Routes:
    """Answers requests.

    Attributes
    ----------
    session, uploads, results : the recordings, where the uploaded ones are, and what became of them.
    pages, traces : render what is sent.
    trained : how the spikes were cut that the model was trained on.
    """

    session: Session
    uploads: Uploads
    results: Results
    pages: Pages
    traces: Traces
    trained: SpikeCutting

    def application(self) -> Starlette:
        """Returns the ASGI application."""
        cell = '/cells/{number:int}-{place:int}'
        routes = [
            Route('/', self.page),
            Route('/app.css', self.style),
            Route('/app.js', self.script),
            Route('/state', self.state),
            Route('/reading', self.read_next, methods=['POST']),
            Route('/files', self.upload, methods=['POST']),
            Route('/files/reading', self.read_all_again, methods=['POST']),
            Route('/files/{number:int}', self.remove, methods=['DELETE']),
            Route('/files/{number:int}/reading', self.read_again, methods=['POST']),
            Route(cell, self.cell),
            Route(f'{cell}/stretch', self.stretch),
            Route(f'{cell}/nwb', self.nwb),
            Route('/download/{name}', self.download),
        ]
        return Starlette(routes=routes, exception_handlers={UserError: _refused, OSError: _refused})

    async def page(self, request: Request) -> Response:
        return HTMLResponse(self.pages.page(self.session.next_options))

    async def style(self, request: Request) -> Response:
        return Response(self.pages.style, media_type='text/css')

    async def script(self, request: Request) -> Response:
        return Response(self.pages.script, media_type='text/javascript')

    async def state(self, request: Request) -> Response:
        """Sends what has changed since the version that the page has; nothing if it has all."""
        since = _number(request, 'since')
        if since == self.session.version:
            return Response(status_code=204)
        return JSONResponse(await run_in_threadpool(self._state, int(since)))

    def _state(self, since: int) -> dict:
        changes = self.session.changes(since)
        return self.pages.state(changes, self.results.findings())

    async def upload(self, request: Request) -> Response:
        options = read_form(request.query_params, self.trained)
        name = request.query_params.get('name', '')
        try:
            path = await self.uploads.receive(name, request.stream())
        except ClientDisconnect:
            return Response(status_code=400)  # Nobody reads it.
        if is_ignored(path):
            self.uploads.remove(path)
            return Response(status_code=204)
        return JSONResponse({'number': self.session.add(path, options, pathlib.Path(path).name)}, 201)

    async def read_next(self, request: Request) -> Response:
        self.session.next_options = read_form(request.query_params, self.trained)
        return Response(status_code=204)

    async def read_again(self, request: Request) -> Response:
        number = self._file(request).number
        self.session.read_again([number], read_form(request.query_params, self.trained))
        return Response(status_code=202)

    async def read_all_again(self, request: Request) -> Response:
        options = read_form(request.query_params, self.trained)
        self.session.read_again([file.number for file in self.session.files()], options)
        return Response(status_code=202)

    async def remove(self, request: Request) -> Response:
        file = self._file(request)
        if not file.is_uploaded:
            raise HTTPException(409, 'it is in the watched folder, and stays there')
        self.uploads.remove(file.path)
        self.session.remove(file.number)
        return Response(status_code=204)

    async def cell(self, request: Request) -> Response:
        file, place = self._file(request), request.path_params['place']
        if place >= len(file.outcomes):
            raise HTTPException(404)
        return HTMLResponse(await run_in_threadpool(self.pages.opened, file, place))

    async def stretch(self, request: Request) -> Response:
        file, cell = self._cell(request)
        first_s, last_s = _number(request, 'first'), _number(request, 'last')
        if cell.trace is None or not 0 <= first_s <= last_s - LEAST_STRETCH_S:
            raise HTTPException(404)

        def draw() -> str:
            return self.pages.stretch(self.traces.stretch(cell, file.found_with, first_s, last_s), first_s, last_s)

        return HTMLResponse(await run_in_threadpool(draw))

    async def nwb(self, request: Request) -> Response:
        _, cell = self._cell(request)
        return _as_file(await run_in_threadpool(self.results.nwb_of, cell))

    async def download(self, request: Request) -> Response:
        name = request.path_params['name']
        if name not in (*TABLES, NWB_ZIP):
            raise HTTPException(404)
        return _as_file(await run_in_threadpool(self.results.file, name))

    def _file(self, request: Request) -> SessionFile:
        try:
            return self.session[request.path_params['number']]
        except KeyError:
            raise HTTPException(404, 'The recording was removed.') from None

    def _cell(self, request: Request) -> tuple[SessionFile, ClassifiedCell]:
        file, place = self._file(request), request.path_params['place']
        cell = file.outcomes[place][0] if place < len(file.outcomes) else None
        if cell is None:
            raise HTTPException(404)
        return file, cell


def _number(request: Request, name: str) -> float:
    try:
        number = float(request.query_params[name])
    except (KeyError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise HTTPException(400, f'{name} is missing or no number')
    return number


def _as_file(path: pathlib.Path) -> Response:
    return FileResponse(path, filename=path.name, media_type='application/octet-stream')


async def _refused(request: Request, error: Exception) -> Response:
    """Answers what the user did or the disk does not allow, in one line."""
    status = error.status if isinstance(error, UploadRefused) else 507 if isinstance(error, OSError) else 422
    field = error.name if isinstance(error, FieldError) else ''
    return JSONResponse({'problem': os_error_words(error), 'field': field}, status)
