r"""How long a verdict takes: `sero-classify` as a whole process, through ONNX Runtime and through Keras.

    python -m benchmarks.classify_time --model=demo/synthetic
    python -m benchmarks.classify_time --model=demo/synthetic --recordings=10 --repeats=1

Recordings of 100 s are simulated. One of them, and then all together, are classified by the installed command in the
environment of this Python, with all outputs. The two ways take turns. For Keras, the run's folder is copied without
``consensus.onnx``. The last line is one JSON object: seconds, medians and all. All recordings are SIMULATED.
"""

from __future__ import annotations

import json
import pathlib
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence

from absl import flags

from beam_pipelines.cli.command import refuse_arguments, run_command
from beam_pipelines.errors import UserError
from benchmarks.measuring import time_command
from trainer.models.onnx_ensemble import FILE_NAME, is_written

_MODEL = flags.DEFINE_string('model', None, 'Folder of a finished run that holds consensus.onnx.', required=True)
_RECORDINGS = flags.DEFINE_integer('recordings', 100, 'How many recordings.', lower_bound=4)
_SECONDS = flags.DEFINE_float('seconds', 100.0, 'Length of a recording, in s.', lower_bound=5.0)
_REPEATS = flags.DEFINE_integer('repeats', 5, 'Runs of each way on one recording; on all there is one.', lower_bound=1)

_WAYS = ('onnx', 'keras')
# Of the checkpoints and TensorBoard's logs nothing is read.
_LEFT_OUT = (FILE_NAME, 'manifest.json', 'checkpoints', 'tensorboard')


def main(argv: list[str]) -> int:
    refuse_arguments(argv)
    if not is_written(_MODEL.value):
        raise UserError(f'{_MODEL.value}: holds no {FILE_NAME}; give sero-train the command of this run again')
    with tempfile.TemporaryDirectory() as folder:
        recordings = _simulate(pathlib.Path(folder, 'recordings'))
        without = shutil.copytree(
            _MODEL.value, pathlib.Path(folder, 'keras'), ignore=shutil.ignore_patterns(*_LEFT_OUT)
        )
        models = dict(zip(_WAYS, (_MODEL.value, without), strict=True))
        result = {'recordings': len(recordings), 'recording_s': _SECONDS.value}
        for name, paths, repeats in (('one', recordings[:1], _REPEATS.value), ('all', recordings, 1)):
            seconds: dict[str, list[float]] = {way: [] for way in _WAYS}
            for _ in range(repeats):
                for way in _WAYS:
                    seconds[way].append(_time(models[way], paths, folder))
                    print(f'{name}, {way}: {seconds[way][-1]:.2f} s', file=sys.stderr)
            result[name] = {
                way: {'median_s': round(statistics.median(of_way), 2), 's': [round(one, 2) for one in of_way]}
                for way, of_way in seconds.items()
            }
    print(json.dumps(result))
    return 0


def _simulate(folder: pathlib.Path) -> list[pathlib.Path]:
    from beam_pipelines.simulation.recordings import Profile, simulate

    half = _RECORDINGS.value // 2
    classes = {'SER': half - half // 2, 'NSER': half // 2}
    simulate(folder, Profile('classify_time', dict.fromkeys(('original', 'non_homogeneous'), classes), _SECONDS.value))
    return sorted(folder.rglob('*.abf'))


def _time(model: str | pathlib.Path, paths: Sequence[pathlib.Path], folder: str) -> float:
    """Returns the seconds of a whole process that classifies recordings."""
    command = [pathlib.Path(sys.executable).parent / 'sero-classify', '--model', model, '--output_dir', f'{folder}/out']
    return time_command('sero-classify', [*command, *paths])


if __name__ == '__main__':
    run_command('classify_time', __name__)
