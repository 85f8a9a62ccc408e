r"""Shows a page in the browser on which recordings are dropped and verdicts appear, with the evidence for each cell.

    sero-app --model runs/synthetic
    sero-app --model runs/synthetic --watch today --channel Im --scale 1000

It prints the address to open. The page is served to this machine alone, and nothing on it comes from a network.
Uploaded recordings are kept in a private temporary folder, which is removed when Ctrl-C ends the program: download
what should stay. With --watch, recordings that appear in a folder are classified as soon as they are complete. The
flags that say how recordings are read are what the page's form starts with.
"""

from __future__ import annotations

import contextlib
import importlib.util
import pathlib
import secrets
import socket
from typing import TYPE_CHECKING

from absl import flags

from beam_pipelines.cli.command import refuse_arguments, refuse_urls, run_command, say, show
from beam_pipelines.cli.signals import StopRequests, stopping_with_terminal
from beam_pipelines.errors import UsageError, UserError
from trainer.classify.reading_flags import READING_FLAGS, define_reading_flags, options_of_flags
from trainer.classify.watched_flag import check_watched

if TYPE_CHECKING:
    from trainer.classify.classifier import Classifier

_NEEDED = ('starlette', 'uvicorn')


def define_flags() -> None:
    """Defines the command's flags; not at import, so that several commands can be imported together."""
    flags.DEFINE_string(
        'model',
        None,
        'Folder of a finished run of sero-train, or a folder, .zip or hf://OWNER/NAME of sero-export-model.',
        required=True,
    )
    flags.DEFINE_string(
        'watch', None, 'Folder in which recordings appear: they are on the page too, each when it is complete.'
    )
    define_reading_flags()
    for name in READING_FLAGS:
        flags.declare_key_flag(name)
    flags.DEFINE_string('host', '127.0.0.1', 'Address to listen at; others than this machine need --allow_remote.')
    flags.DEFINE_integer('port', 0, 'Port to listen at; 0: a free one.', lower_bound=0, upper_bound=65535)
    flags.DEFINE_bool(
        'allow_remote',
        False,
        'Let other machines open the page. Nothing is encrypted: whoever sees the traffic sees recordings and address.',
    )


def main(argv: list[str]) -> int:
    refuse_arguments(argv)
    refuse_urls('watch')
    _check_flags()
    # Imported here, so that --help is immediate.
    from trainer.app.private_folder import private_folder
    from trainer.app.server import listen
    from trainer.classify import load

    values = flags.FLAGS
    with contextlib.closing(listen(values.host, values.port)) as listening:
        classifier = load(values.model)
        stopping = StopRequests('removing the uploaded recordings and stopping')
        with stopping as requests, stopping_with_terminal(), private_folder() as folder:
            _serve(classifier, listening, folder, requests)
    return 0


def _serve(classifier: Classifier, listening: socket.socket, folder: pathlib.Path, requests: StopRequests) -> None:
    """Serves the page, and classifies what is dropped on it, until a stop is requested."""
    from trainer.app.guard import Guard
    from trainer.app.pages import Pages
    from trainer.app.reading_form import check_options
    from trainer.app.results import Results
    from trainer.app.routes import Routes
    from trainer.app.server import addresses, is_loopback, serving
    from trainer.app.session import Session
    from trainer.app.traces import Traces
    from trainer.app.uploads import UploadLimits, Uploads
    from trainer.app.worker import Worker
    from trainer.classify.reading_pool import ReadingPool
    from trainer.classify.watch import WatchedFolder

    values = flags.FLAGS
    for name in ('uploads', 'made'):
        (folder / name).mkdir()
    options = options_of_flags(classifier.info.cutting)
    check_options(options, classifier.info.cutting)
    session, uploads = Session(options), Uploads(folder / 'uploads', UploadLimits())
    results = Results(session, uploads, classifier, folder / 'made')
    routes = Routes(
        session, uploads, results, Pages(classifier, uploads, values.watch), Traces(), classifier.info.cutting
    )
    token, hosts = secrets.token_urlsafe(24), addresses(values.host, listening.getsockname()[:2])
    app = Guard(routes.application(), token, hosts if is_loopback(values.host) else None)
    with ReadingPool(options, 1) as pool, serving(app, listening):
        show(f'the page: http://{hosts[0]}/{token}/', 'Ctrl-C ends it and removes the uploaded recordings')
        watched = WatchedFolder(values.watch, str(folder)) if values.watch else None
        Worker(session, classifier, pool, watched).run(requests)


def _check_flags() -> None:
    """Raises UserError if the flags do not fit together, or what the page needs is not installed."""
    values = flags.FLAGS
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f'the page needs {" and ".join(missing)}: pip install {" ".join(missing)}')
    from trainer.app.server import is_loopback

    check_watched(values.watch)
    if not values.host:
        raise UsageError('--host=: expected an address, such as 127.0.0.1')
    if is_loopback(values.host) and values.allow_remote:
        raise UsageError(f'--allow_remote: --host={values.host} is for this machine alone; name another --host')
    if not is_loopback(values.host) and not values.allow_remote:
        raise UsageError(
            f'--host={values.host}: other machines could reach the page, unencrypted; --allow_remote allows it, and an'
            ' SSH tunnel does without'
        )
    if values.allow_remote:
        say(
            'WARNING: whoever reaches this machine and has the address can see and upload recordings; nothing is'
            ' encrypted'
        )


def run() -> None:
    define_flags()
    run_command('sero-app', __name__)


if __name__ == '__main__':
    run()
