r"""How long it takes from recordings on disk to a trained, calibrated ensemble that is right about cells of other days.

    python -m benchmarks.time_to_accuracy
    python -m benchmarks.time_to_accuracy --configs=trainer/configs/fast.py,mine.py --seeds=1
    python -m benchmarks.time_to_accuracy --recordings=R --target=0.95

Without --recordings, those of the profile `paper` are simulated first, which is not timed. Each of --configs is run
once for each seed, as a user would: sero-build of what it trains on, and sero-train, both timed as whole processes.
Then sero-evaluate judges the cells of other days, which is not timed. The table gives the median time of the seeds,
and the accuracy of each.

Two ways take hours, and their time is projected: that of the build, and the examples of their schedule at the rate
that is measured here for --seconds.

    default      trainer/configs/default.py: the ensemble, batches of 64, 25 epochs, if none ends it early
    published    one network after the other, chunk after chunk: 222 million examples through each

The last line is one JSON object.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import runpy
import statistics
import sys
import tempfile
from collections.abc import Sequence

from absl import flags

from beam_pipelines.cli.command import refuse_arguments, run_command
from beam_pipelines.errors import UsageError
from benchmarks.measuring import run_in_process, time_command
from trainer.configs import default, paper_synthetic

# The schedule of each way that is projected, and what `train_throughput` calls the way that has its rate.
_PROJECTED = {'default': (default, 'tensorflow/float32/64'), 'published': (paper_synthetic, 'separate')}


def define_flags() -> None:
    flags.DEFINE_list('configs', ['trainer/configs/fast.py'], 'Configs to train, as of sero-train.')
    flags.DEFINE_integer('seeds', 3, 'Trainings of each config, with the seeds 0, 1, ...', lower_bound=1)
    flags.DEFINE_float('target', 0.97, 'Accuracy to reach, by cell, on other days.', lower_bound=0, upper_bound=1)
    flags.DEFINE_string('recordings', None, 'Recordings root with non_homogeneous, instead of a simulated one.')
    flags.DEFINE_float('seconds', 20, 'How long the rate of a projected way is measured; 0: none.', lower_bound=0)


def main(argv: list[str]) -> int:
    refuse_arguments(argv)
    configs = _read_configs()
    with tempfile.TemporaryDirectory() as folder:
        recordings = flags.FLAGS.recordings or os.path.join(folder, 'recordings')
        if flags.FLAGS.recordings is None:
            _say('simulating recordings')
            _run('beam_pipelines.simulate', f'--output_dir={recordings}', '--profile=paper')
        runs = {}
        for config in configs:
            runs[config.name] = [
                _train(config, seed, recordings, os.path.join(folder, f'{config.name}_{seed}'))
                for seed in range(flags.FLAGS.seeds)
            ]
        projected = _project(configs[0], runs, folder) if flags.FLAGS.seconds else {}
    _report(runs, projected)
    return 0


@dataclasses.dataclass(frozen=True)
class _Config:
    """A config file: its path, and the dataset that it trains on."""

    path: str
    trained_on: str

    @property
    def name(self) -> str:
        return pathlib.Path(self.path).stem


def _read_configs() -> list[_Config]:
    configs = []
    for path in flags.FLAGS.configs:
        try:
            configs.append(_Config(path, runpy.run_path(path)['get_config']().train_on))
        except Exception as error:  # A config is a program, and may raise anything.
            raise UsageError(f'--configs: {path}: is no config: {error}') from None
    if not configs or len({config.name for config in configs}) < len(configs):
        raise UsageError('--configs: expected one config or more, each of another name')
    return configs


def _train(config: _Config, seed: int, recordings: str, folder: str) -> dict:
    """Builds, trains and judges once, in a new folder.

    Returns
    -------
    Dict of ``build_s`` and ``train_s``, whole processes, and of ``accuracy`` and ``decided``, 0..1, by cell.
    """
    data_dir, workdir = os.path.join(folder, 'data'), os.path.join(folder, 'run')
    # Those that it does not train on are needed to calibrate and to judge.
    datasets = ','.join(dict.fromkeys(['original', 'non_homogeneous', config.trained_on]))
    on_data = [f'--data_dir={data_dir}', f'--workdir={workdir}']
    build_s = _run('beam_pipelines.build', f'--recordings={recordings}', on_data[0], f'--configs={datasets}')
    train_s = _run('trainer.train', f'--config={config.path}', f'--config.seed={seed}', *on_data)
    _run('trainer.evaluate', *on_data)
    with open(os.path.join(workdir, 'evaluation', 'metrics.json'), encoding='utf-8') as file:
        by_cell = json.load(file)['non_homogeneous/test']['cell']
    measured = {'build_s': build_s, 'train_s': train_s, 'accuracy': by_cell['accuracy'], 'decided': by_cell['coverage']}
    _say(f'{config.name}, seed {seed}: {build_s:.0f} s + {train_s:.0f} s, {by_cell["accuracy"]:.3f} right')
    return measured


def _run(module: str, *arguments: str) -> float:
    return time_command(module, [sys.executable, '-m', module, *arguments])


def _project(trained: _Config, runs: dict[str, list[dict]], folder: str) -> dict[str, dict]:
    """Returns ``rate`` (examples/s through all members) and ``seconds`` of each way that is not trained here."""
    on_data = [f'--data_dir={os.path.join(folder, f"{trained.name}_0", "data")}', f'--config={trained.trained_on}']
    build_s = statistics.median(run['build_s'] for of_config in runs.values() for run in of_config)
    projected = {}
    for way, (schedule, measured_as) in _PROJECTED.items():
        if way not in runs:
            config = schedule.get_config()
            arguments = [f'--measure={measured_as}', f'--seconds={flags.FLAGS.seconds}', *on_data]
            rate = run_in_process('benchmarks.train_throughput', arguments, way)['rate']
            projected[way] = {'rate': rate, 'seconds': build_s + config.epochs * config.examples_per_epoch / rate}
    return projected


def _report(runs: dict[str, list[dict]], projected: dict[str, dict]) -> None:
    target = flags.FLAGS.target
    print(f'{"":<12}  {"time":>10}  {"range":>16}  {"of it build":>11}  right about cells of other days')
    results: dict[str, dict] = {}
    for name, of_config in runs.items():
        seconds = [run['build_s'] + run['train_s'] for run in of_config]
        accuracy = [run['accuracy'] for run in of_config]
        reached = sum(share >= target for share in accuracy)
        build_s = statistics.median(run['build_s'] for run in of_config)
        print(
            f'{name:<12}  {statistics.median(seconds):>8.0f} s  {_span(seconds):>16}  {build_s:>9.0f} s'
            f'  {", ".join(f"{share:.3f}" for share in accuracy)}: {reached} of {len(of_config)} reach {target}'
        )
        results[name] = {'seconds': statistics.median(seconds), 'reached': reached, 'runs': of_config}
    for name, way in projected.items():
        print(f'{name:<12}  {way["seconds"] / 3600:>8.1f} h  projected from {way["rate"]:,.0f} examples/s, not trained')
    print(json.dumps({'target': target, 'configs': results, 'projected': projected}))


def _span(seconds: Sequence[float]) -> str:
    return f'{min(seconds):.0f} to {max(seconds):.0f} s'


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == '__main__':
    define_flags()
    run_command('python -m benchmarks.time_to_accuracy', __name__)
