r"""Builds the sero_spikes datasets from recordings, as an Apache Beam job.

On this machine, with two workers:

    sero-build --recordings recordings --data_dir data --configs original,non_homogeneous,synthetic_small -- \
        --direct_running_mode=multi_processing --direct_num_workers=2

What stands after -- are Beam's own options. The datasets come out in DATA_DIR/sero_spikes/CONFIG/VERSION, ready for
tfds.load and sero-train; files that could not be used are listed in DATA_DIR/sero_spikes/rejected.jsonl.
"""

from __future__ import annotations

import contextlib
import io
import logging as standard_logging
import time

from absl import flags, logging

from beam_pipelines.cli.command import run_command, say
from beam_pipelines.cli.words import counted
from beam_pipelines.datasets.configs import CONFIGS
from beam_pipelines.errors import UserError
from beam_pipelines.planning import splits
from beam_pipelines.synthesis.synthesizer import Recipe


def define_flags() -> None:
    """Defines the command's flags: not at import, so that several commands can be imported side by side."""
    flags.DEFINE_string(
        'recordings', None, 'Recordings root: holds {original,non_homogeneous}/{SER,NSER}/.', required=True
    )
    flags.DEFINE_string('data_dir', None, 'TFDS data directory that the datasets go into.', required=True)
    flags.DEFINE_list(
        'configs',
        ['original', 'non_homogeneous', 'synthetic_small'],
        f'Datasets to build, of {", ".join(CONFIGS)}.',
    )
    flags.DEFINE_integer('seed', 0, 'Seeds splits, order, masks and synthesis.', lower_bound=0, upper_bound=2**63 - 1)
    flags.DEFINE_enum(
        'protocol', 'by_cell', splits.PROTOCOLS, 'by_cell: no cell is in two splits; published: split by spike.'
    )
    flags.DEFINE_bool('allow_rejected', False, 'Exit with status 0 even if files were rejected.')
    flags.DEFINE_bool('resample', False, 'Bring sampling rates other than 40000 Hz to it, from 10000 Hz on.')
    flags.DEFINE_bool('overwrite', False, 'Replace datasets that are already there.')
    flags.DEFINE_list(
        'synthetic_examples',
        [str(count) for count in CONFIGS['synthetic'].synthetic_examples],
        'Examples of SER and of NSER in the dataset synthetic.',
    )
    flags.DEFINE_integer('num_masks', 600, 'Noise masks in a synthetic dataset.', lower_bound=4)
    flags.DEFINE_integer(
        'max_shard_size_mb', 128, 'Largest shard, in MiB; a dataset has as many as that needs.', lower_bound=1
    )
    flags.DEFINE_list('masks_a_spike', ['1', '4'], 'Fewest and most noise masks on a synthetic spike, 1..4.')
    flags.DEFINE_list('weights', ['0.31', '0.36'], 'Lowest and highest weight of a noise mask.')


def main(argv: list[str]) -> int:
    if not flags.FLAGS['verbosity'].present:
        # Beam tells of every optional package that it does not find.
        logging.set_verbosity(logging.ERROR)
        # A job on Dataflow takes minutes or hours: here Beam tells its id, its states and its workers' messages.
        standard_logging.getLogger('apache_beam.runners.dataflow.dataflow_runner').setLevel(standard_logging.INFO)
    # Here, so that --help is there at once: Beam takes a second to import.
    from apache_beam.options.pipeline_options import PipelineOptions

    from beam_pipelines.launch.detached import DetachedBuild
    from beam_pipelines.launch.run_build import run_build
    from beam_pipelines.planning.options import BuildOptions
    from beam_pipelines.transforms.paths import BuildPaths

    started = time.monotonic()
    options = BuildOptions(
        recordings=flags.FLAGS.recordings,
        data_dir=flags.FLAGS.data_dir,
        configs=_checked_configs(),
        seed=flags.FLAGS.seed,
        protocol=flags.FLAGS.protocol,
        resample=flags.FLAGS.resample,
        max_shard_bytes=flags.FLAGS.max_shard_size_mb << 20,
        num_masks=flags.FLAGS.num_masks,
        recipe=Recipe(*_two_numbers('masks_a_spike', int), *_two_numbers('weights', float)),
        synthetic_examples=_two_numbers('synthetic_examples', int),
    )
    check_beam_options(argv[1:], PipelineOptions)
    built = run_build(options, PipelineOptions(argv[1:]), overwrite=flags.FLAGS.overwrite)
    if isinstance(built, DetachedBuild):
        print(built.line)
        return 0
    sets = {dataset.metadata['recording_set']: dataset.metadata for dataset in built}
    for recording_set, metadata in sets.items():
        print(
            f'{recording_set}: {counted(metadata["files_used"] + metadata["files_rejected"], "file")} ='
            f' {metadata["files_used"]} used + {metadata["files_rejected"]} rejected;'
            f' {metadata["triggers"]} triggers = {metadata["spikes"]} spikes'
            f' + {metadata["triggers_dropped"]} dropped'
        )
    for dataset in built:
        print(f'{dataset.config}: {dataset.folder} ({dataset.metadata["source"]} recordings)')
    print(f'done in {time.monotonic() - started:.1f} s')
    rejected = sum(metadata['files_rejected'] for metadata in sets.values())
    if rejected:
        say(
            f'{counted(rejected, "file")} rejected, see {BuildPaths(options.data_dir).rejected};'
            ' the datasets were made from the others'
        )
    return 1 if rejected and not flags.FLAGS.allow_rejected else 0


def check_beam_options(arguments: list[str], pipeline_options: type) -> None:
    """Raises UserError if Beam would pass over an argument, as it does with a warning in its log."""
    for number, argument in enumerate(arguments):
        previous = arguments[number - 1] if number else ''
        if not argument.startswith('--') and not (previous.startswith('--') and '=' not in previous):
            raise UserError(f'unexpected argument {argument!r}; Beam options are --name=value')
    usage = io.StringIO()
    try:
        with contextlib.redirect_stderr(usage):
            options = pipeline_options(arguments)
            unknown = set(options.get_all_options(retain_unknown_options=True)) - set(options.get_all_options())
    except SystemExit:
        # argparse has written all options that there are before it says which is wrong.
        raise UserError(usage.getvalue().splitlines()[-1].partition('error: argument ')[2]) from None
    if unknown:
        raise UserError(f'--{min(unknown)}: Beam has no such option')


def _checked_configs() -> tuple[str, ...]:
    if not flags.FLAGS.configs:
        raise UserError(f'--configs: is empty; there are {", ".join(CONFIGS)}')
    for config in flags.FLAGS.configs:
        if config not in CONFIGS:
            raise UserError(f'--configs: no dataset {config!r}; there are {", ".join(CONFIGS)}')
    return tuple(dict.fromkeys(flags.FLAGS.configs))


def _two_numbers(flag: str, number: type) -> tuple:
    """Returns the values of a flag that takes two numbers."""
    values = flags.FLAGS[flag].value
    try:
        first, second = map(number, values)
    except ValueError:
        raise UserError(f'--{flag}={",".join(values)}: expected two numbers') from None
    return first, second


def run() -> None:
    define_flags()
    run_command('sero-build', __name__)


if __name__ == '__main__':
    run()
