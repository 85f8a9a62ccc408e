r"""Builds the sero_spikes datasets from recordings, as an Apache Beam job.

On this machine, with all its cores:

    sero-build --recordings recordings --data_dir data --configs original,non_homogeneous,synthetic_small

On a cluster, with Beam's own options, which come after --:

    sero-build --recordings gs://bucket/recordings --data_dir gs://bucket/data -- --runner=FlinkRunner ...

The datasets are written to DATA_DIR/sero_spikes/CONFIG/VERSION, ready for tfds.load
and sero-train. Files that could not be used are listed in DATA_DIR/sero_spikes/rejected.jsonl.
"""

from __future__ import annotations

import json
import logging as standard_logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from absl import flags, logging

from beam_pipelines import domain
from beam_pipelines.cli.command import run_command, say, show
from beam_pipelines.cli.words import counted
from beam_pipelines.datasets.configs import CONFIGS, PUBLISHED_EXAMPLES
from beam_pipelines.errors import UsageError, UserError
from beam_pipelines.planning import splits
from beam_pipelines.recordings.folder_names import check_recordings_root
from beam_pipelines.recordings.sources import words_of_source
from beam_pipelines.synthesis.synthesizer import Recipe

if TYPE_CHECKING:  # They import Beam.
    from beam_pipelines.datasets.metadata import DatasetMetadata
    from beam_pipelines.launch.run_build import BuiltDataset
    from beam_pipelines.planning.options import BuildOptions
    from beam_pipelines.recordings.reading_options import BaselineKind, ReadingOptions

_Number = TypeVar('_Number', int, float)


def define_flags() -> None:
    """Defines the command's flags; not at import, so that several commands can be imported side by side."""
    flags.DEFINE_string(
        'recordings', None, 'Recordings root, which holds {original,non_homogeneous}/{SER,NSER}/.', required=True
    )
    flags.DEFINE_string('data_dir', None, 'TFDS data directory to write the datasets to.', required=True)
    flags.DEFINE_list(
        'configs',
        ['original', 'non_homogeneous', 'synthetic_small'],
        f'Datasets to build, of {", ".join(CONFIGS)}.',
    )
    flags.DEFINE_integer('seed', 0, 'Seed of splits, order, masks and synthesis.', lower_bound=0, upper_bound=2**63 - 1)
    flags.DEFINE_enum(
        'protocol', 'by_cell', splits.PROTOCOLS, 'by_cell: no cell is in two splits; published: split by spike.'
    )
    flags.DEFINE_bool('allow_rejected', False, 'Exit with status 0 even if files were rejected.')
    flags.DEFINE_bool('resample', False, 'Resample recordings of another rate, at least 10000 Hz, to 40000 Hz.')
    flags.DEFINE_enum(
        'baseline',
        None,
        ['running', 'none'],
        'Find spikes relative to the running baseline of a recording and leave out artefacts, or find all events in the'
        ' current as it is, the published way. Default: running; with --protocol=published: none.',
    )
    flags.DEFINE_enum('polarity', 'down', ['down', 'up', 'auto'], 'Where spikes point; auto: where larger peaks point.')
    flags.DEFINE_float('trigger_pa', domain.TRIGGER_PA, 'Threshold in pA, negative, also for spikes that point upward.')
    flags.DEFINE_float('trigger_sd', None, 'Threshold as a multiple of the noise, in place of --trigger_pa.')
    flags.DEFINE_float('scale', 1.0, 'Multiply the current with this number, such as 1000 for nA labelled pA.')
    flags.DEFINE_string('channel', None, 'Name or number (from 0) of the channel to read; default: the one in pA.')
    flags.DEFINE_float(
        'sampling_rate_hz', None, 'Rate of .csv and .npy recordings, which do not hold it.', lower_bound=1.0
    )
    flags.DEFINE_integer('workers', None, 'Cores of this machine to use; all by default.', lower_bound=1)
    flags.DEFINE_bool('overwrite', False, 'Replace existing datasets.')
    flags.DEFINE_list(
        'synthetic_examples',
        [str(count) for count in PUBLISHED_EXAMPLES],
        'Numbers of SER and NSER examples in the dataset synthetic.',
    )
    flags.DEFINE_integer('num_masks', 600, 'Noise masks in a synthetic dataset.', lower_bound=4, upper_bound=100_000)
    flags.DEFINE_integer('max_shard_size_mb', 128, 'Size of the largest shard, in MiB.', lower_bound=1)
    flags.DEFINE_list('masks_per_spike', ['1', '4'], 'Fewest and most noise masks per synthetic spike, 1..4.')
    flags.DEFINE_alias('masks_a_spike', 'masks_per_spike')
    flags.DEFINE_list('weights', ['0.31', '0.36'], 'Lowest and highest weight of a noise mask.')


def main(argv: list[str]) -> int:
    """Runs the command with parsed flags; returns its exit status."""
    if not flags.FLAGS['verbosity'].present:
        # Beam logs every optional package that it does not find.
        logging.set_verbosity(logging.ERROR)
        # A Dataflow job takes minutes or hours: this logger reports its id, states and worker messages.
        standard_logging.getLogger('apache_beam.runners.dataflow.dataflow_runner').setLevel(standard_logging.INFO)
    check_recordings_root(flags.FLAGS.recordings)
    # Imported here because Beam takes a second to import, and --help should not wait for it.
    from apache_beam.options.pipeline_options import PipelineOptions

    from beam_pipelines.launch.detached import DetachedBuild
    from beam_pipelines.launch.preflight import check_beam_options
    from beam_pipelines.launch.run_build import run_build
    from beam_pipelines.transforms.paths import BuildPaths

    started = time.monotonic()
    options = _build_options()
    check_beam_options(argv[1:])
    overwrite, workers = flags.FLAGS.overwrite, flags.FLAGS.workers
    built = run_build(options, PipelineOptions(argv[1:]), overwrite=overwrite, workers=workers)
    if isinstance(built, DetachedBuild):
        show(built.line)
        return 0
    rejected_file = BuildPaths(options.data_dir).rejected
    rejected = _summarize(built, rejected_file)
    print(f'done in {time.monotonic() - started:.1f} s')
    if rejected:
        say(f'{counted(rejected, "file")} rejected, see {rejected_file}; the datasets were made from the others')
    return 1 if rejected and not flags.FLAGS.allow_rejected else 0


def _build_options() -> BuildOptions:
    """Returns the build options set by the flags."""
    from beam_pipelines.planning.options import BuildOptions

    min_masks, max_masks = _two_numbers('masks_per_spike', int)
    min_weight, max_weight = _two_numbers('weights', float)
    return BuildOptions(
        recordings=flags.FLAGS.recordings,
        data_dir=flags.FLAGS.data_dir,
        configs=_checked_configs(),
        seed=flags.FLAGS.seed,
        protocol=flags.FLAGS.protocol,
        reading=_reading_options(),
        max_shard_bytes=flags.FLAGS.max_shard_size_mb << 20,
        num_masks=flags.FLAGS.num_masks,
        recipe=Recipe(min_masks, max_masks, min_weight, max_weight),
        synthetic_examples=_two_numbers('synthetic_examples', int),
    )


def _reading_options() -> ReadingOptions:
    from beam_pipelines.recordings.reading_options import ReadingOptions, SpikeCutting, check_cutting_flags

    values = flags.FLAGS
    is_published = values.protocol == 'published'
    if is_published and values.baseline == 'running':
        raise UsageError('--protocol=published finds spikes in the current as it is; leave --baseline out')
    baseline: BaselineKind = values.baseline or ('none' if is_published else 'running')
    cutting = SpikeCutting(baseline, values.polarity, values.trigger_pa, values.trigger_sd, values.scale)
    check_cutting_flags(cutting)
    return ReadingOptions(values.resample, values.channel, cutting, values.sampling_rate_hz)


def _summarize(built: Sequence[BuiltDataset], rejected_file: str) -> int:
    """Prints what became of files and triggers, and the datasets' folders; returns the number of rejected files."""
    from beam_pipelines.recordings.cell_files import look_alikes
    from beam_pipelines.recordings.rejection import RejectedFile, screen_lines
    from beam_pipelines.spikes.events import second_spikes_words
    from beam_pipelines.storage import files

    sets = {dataset.metadata.recording_set: dataset.metadata for dataset in built}
    for recording_set, metadata in sets.items():
        print(
            f'{recording_set}: {counted(metadata.files_used + metadata.files_rejected, "file")} ='
            f' {metadata.files_used} used + {metadata.files_rejected} rejected;'
            f' {metadata.triggers} triggers = {metadata.spikes} spikes + {_dropped(metadata)}'
            f'{second_spikes_words(metadata.second_spikes)}'
        )
    if files.exists(rejected_file):
        rejected = [RejectedFile(**json.loads(line)) for line in files.read_bytes(rejected_file).decode().splitlines()]
        if rejected:
            show(*screen_lines(rejected, rejected_file))
    names = {cell.cell_id for metadata in sets.values() for cell in metadata.cells}
    if alike := look_alikes(names):
        show(*alike)
    for dataset in built:
        show(f'{dataset.config}: {dataset.folder} ({words_of_source(dataset.metadata.source)})')
    return sum(metadata.files_rejected for metadata in sets.values())


def _dropped(metadata: DatasetMetadata) -> str:
    from beam_pipelines.spikes.events import dropped_words

    # Early versions dropped triggers for one reason only.
    return dropped_words(metadata.triggers_dropped_by_reason or +Counter({'window': metadata.triggers_dropped}))


def _checked_configs() -> tuple[str, ...]:
    if not flags.FLAGS.configs:
        raise UserError(f'--configs: is empty; there are {", ".join(CONFIGS)}')
    for config in flags.FLAGS.configs:
        if config not in CONFIGS:
            raise UserError(f'--configs: no dataset {config!r}; there are {", ".join(CONFIGS)}')
    return tuple(dict.fromkeys(flags.FLAGS.configs))


def _two_numbers(flag: str, number: Callable[[str], _Number]) -> tuple[_Number, _Number]:
    """Returns the values of a flag that takes two numbers."""
    values: list[str] = flags.FLAGS[flag].value or []
    try:
        first, second = map(number, values)
    except ValueError:
        raise UserError(f'--{flag}={",".join(values)}: expected two numbers') from None
    return first, second


def run() -> None:
    """Runs the command."""
    define_flags()
    run_command('sero-build', __name__)


if __name__ == '__main__':
    run()
