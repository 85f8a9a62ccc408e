"""The commands that are killed or started together, each with what it works on and what tells its result."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import shutil
from collections.abc import Callable

from tests.faults.inputs import SHORT_RUN, Inputs, build_arguments, copy_linked
from tests.support.training_runs import train_arguments

Arguments = Callable[[Inputs, pathlib.Path], list[object]]


@dataclasses.dataclass(frozen=True)
class Case:
    """A command in a folder of its own.

    Attributes
    ----------
    command : as it is started.
    arguments : its arguments, from the inputs and the folder.
    copies : what is put into the folder first: its name there, and which of the inputs it is.
    earlier : names of outputs that an earlier command has left in the folder, with a content of their own.
    watches : it never ends by itself: it gets Ctrl-C when it has classified all recordings. Until then it replaces its
        outputs again and again.
    done_status : its status when it has done its work.
    """

    command: str
    arguments: Arguments
    copies: tuple[tuple[str, str], ...] = ()
    earlier: tuple[str, ...] = ()
    watches: bool = False
    done_status: int = 0

    def prepare(self, inputs: Inputs, folder: pathlib.Path) -> None:
        """Makes the folder in which the command works."""
        folder.mkdir(exist_ok=True)
        for name, of in self.copies:
            if not (folder / name).exists():
                copy_linked(getattr(inputs, of), folder / name)
        for name in self.earlier:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(EARLIER)

    def has_done(self, folder: pathlib.Path, since: float) -> bool:
        """Whether a command that watches, and was started at a time in s since 1970, has classified all recordings."""
        path = folder / 'verdicts' / 'cells.csv'
        with contextlib.suppress(FileNotFoundError):  # It may be replaced just now.
            return path.stat().st_mtime > since and len(path.read_text().splitlines()) == 1 + _WATCHED_CELLS
        return False


EARLIER = 'of an earlier command\n'
_WATCHED_CELLS = 8


def _train(**fields: object) -> Arguments:
    return lambda inputs, folder: train_arguments(SHORT_RUN | fields, folder / 'data', folder / 'run')


def _evaluate(*more: str) -> Arguments:
    return lambda inputs, folder: ['--workdir', folder / 'run', '--data_dir', folder / 'data', *more]


def _classify(recordings: str, *more: str) -> Arguments:
    return lambda inputs, folder: [
        '--model', inputs.run, '--output_dir', folder / 'verdicts', *more, inputs.recordings / recordings,
    ]  # fmt: skip


def _watch(inputs: Inputs, folder: pathlib.Path) -> list[object]:
    watched = inputs.recordings / 'non_homogeneous'
    return ['--model', inputs.run, '--output_dir', folder / 'verdicts', '--watch', watched]


def _simulate(seed: int) -> Arguments:
    return lambda inputs, folder: ['--output_dir', folder / 'recordings', '--seed', seed]


def _build(*more: str) -> Arguments:
    return lambda inputs, folder: [*build_arguments(inputs.recordings, folder / 'data'), *more]


def _tfds(*more: str) -> Arguments:
    return lambda inputs, folder: [
        'build', 'sero_spikes', '--imports', 'tfds_sero', '--config', 'original', '--data_dir', folder / 'data',
        '--manual_dir', inputs.recordings, *more,
    ]  # fmt: skip


_DATA, _RUN = ('data', 'data_dir'), ('run', 'run')
_VERDICTS = tuple(f'verdicts/{name}' for name in ('cells.csv', 'spikes.csv', 'rejected.jsonl', 'report.html'))
_EVALUATION = tuple(f'run/evaluation/{name}' for name in ('cells.csv', 'metrics.json', 'report.html', 'roc.png'))

# The recordings are not the published ones, of which sero-download says so with status 1.
_DOWNLOAD = Case('sero-download', lambda inputs, folder: ['--recordings', folder / 'recordings'], done_status=1)

KILLED = {
    'train': Case('sero-train', _train(), (_DATA,)),
    'evaluate': Case('sero-evaluate', _evaluate(), (_DATA, _RUN), _EVALUATION),
    'classify': Case('sero-classify', _classify('non_homogeneous'), earlier=_VERDICTS),
    'watch': Case('sero-classify', _watch, earlier=_VERDICTS, watches=True),
    'simulate': Case('sero-simulate', _simulate(0)),
    'download': _DOWNLOAD,
    'build': Case('sero-build', _build()),
    'tfds': Case('tfds', _tfds()),
    'build_overwrite': Case('sero-build', _build('--overwrite', '--seed=1'), (_DATA,)),
    'tfds_overwrite': Case('tfds', _tfds('--overwrite'), (_DATA,)),
}

_OTHERS = {
    'train_other': Case('sero-train', _train(kernel_sizes=(5, 9), seed=8), (_DATA,)),
    'train_original': Case('sero-train', _train(), (_DATA,)),
    'train_longer': Case('sero-train', _train(epochs=5), (_DATA, _RUN)),
    'evaluate_other': Case('sero-evaluate', _evaluate('--day_pattern=...'), (_DATA, _RUN)),
    'classify_other': Case('sero-classify', _classify('original')),
    'simulate_other': Case('sero-simulate', _simulate(1)),
    'build_other': Case('sero-build', _build('--seed=1')),
    'verify': Case('sero-verify', lambda inputs, folder: [folder / 'data'], (_DATA,)),
}

CASES = KILLED | _OTHERS


def fresh_folder(path: pathlib.Path) -> pathlib.Path:
    """Returns a path at which nothing is."""
    shutil.rmtree(path, ignore_errors=True)
    return path
