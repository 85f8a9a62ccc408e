r"""Trains the ensemble on a built dataset.

    sero-train --config trainer/configs/demo.py --data_dir data --workdir runs/demo

Any field of the config can be given on the command line:

    sero-train --config trainer/configs/demo.py --config.train_on=original --config.seed=1 \
        --data_dir data --workdir runs/original

From the authors' weights, ModConvBinNormN20.keras and so on in a folder:

    sero-train --config trainer/configs/default.py --config.architecture=published --init_from authors \
        --data_dir data --workdir runs/continued

Data and run may be in a bucket, gs://B/data and gs://B/runs/demo, or s3://; docs/training.md has what that takes.

On Vertex AI, --workdir may be left out: the run is then in the folders that AIP_MODEL_DIR, AIP_CHECKPOINT_DIR and
AIP_TENSORBOARD_LOG_DIR name.

An interrupted run resumes from its last checkpoint when the same command is given again. Ctrl-C and SIGTERM
save one first and end with status 130 and 143; a second Ctrl-C quits at once. TensorBoard logs are in
WORKDIR/tensorboard: `tensorboard --logdir WORKDIR` shows them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator

from absl import flags

from beam_pipelines.cli.command import refuse_arguments, run_command, say
from beam_pipelines.cli.words import counted
from beam_pipelines.errors import UserError
from beam_pipelines.recordings.folder_names import check_folder
from beam_pipelines.recordings.sources import words_of_source
from trainer.backend import start_keras
from trainer.buckets.folders import (
    cache_of_flags,
    check_data_dir,
    check_urls,
    define_cache_flags,
    folder_to_read,
    run_folder,
)
from trainer.config import define_config_flag, parse_flags, read_config
from trainer.training import jax_hosts
from trainer.training.run_places import MODEL_VARIABLE, places_of_job


def define_flags() -> None:
    """Defines the command's flags; not at import, so that several commands can be imported together."""
    define_config_flag()
    flags.declare_key_flag('config')  # so that --help has it
    flags.DEFINE_string('data_dir', None, 'TFDS data directory that sero-build or tfds build filled.', required=True)
    flags.DEFINE_string(
        'workdir',
        None,
        'Folder of the run: members, checkpoints, logs. On Vertex AI, those of AIP_MODEL_DIR and so on by default.',
        required=not os.environ.get(MODEL_VARIABLE),
    )
    flags.DEFINE_bool(
        'verify_records', False, 'Check every record before training, and not only a sample of each shard.'
    )
    flags.DEFINE_string(
        'init_from', None, "Folder with the authors' models: a run starts from their weights instead of at random."
    )
    flags.DEFINE_enum(
        'strategy',
        'auto',
        ['auto', 'one', 'mirrored', 'multi_worker', 'tpu'],
        'Devices: one; mirrored, all GPUs of this machine; multi_worker, those of the machines in TF_CONFIG; tpu. auto'
        ' takes all devices found. On JAX: one, or auto for all devices of this machine and of the hosts in'
        ' JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID.',
    )
    flags.DEFINE_enum(
        'backend', None, ['tensorflow', 'jax'], 'What Keras computes with; KERAS_BACKEND or tensorflow by default.'
    )
    flags.DEFINE_bool('profile', False, 'Write a TensorBoard profile of the steps 11 to 20 that this command makes.')
    define_cache_flags()
    flags.declare_key_flag('cache_dir')
    flags.declare_key_flag('cache_gb')
    flags.mark_flag_as_required('config')


def main(argv: list[str]) -> int:
    refuse_arguments(argv)
    config = read_config()
    if flags.FLAGS.strategy == 'auto' and (flags.FLAGS.backend or os.environ.get('KERAS_BACKEND')) == 'jax':
        jax_hosts.connect()
    check_urls(flags.FLAGS.data_dir, flags.FLAGS.workdir, flags.FLAGS.init_from)
    check_data_dir(flags.FLAGS.data_dir)
    if flags.FLAGS.init_from:
        check_folder(flags.FLAGS.init_from)
    cache = cache_of_flags()
    start_keras(flags.FLAGS.backend)

    from beam_pipelines.cli.signals import Interrupted
    from trainer.evaluation import calibration
    from trainer.reports.terminal import calibration_words
    from trainer.training.loop import TrainingOptions, train
    from trainer.training.strategies import open_strategy

    values = flags.FLAGS
    job = None if values.workdir else places_of_job(os.environ)
    workdir = job.workdir if job else values.workdir
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(_device_errors())
            stack.enter_context(cache)
            strategy = open_strategy(values.strategy)
            init_from = stack.enter_context(folder_to_read(values.init_from)) if values.init_from else None
            run = stack.enter_context(run_folder(workdir, strategy.is_chief))
            options = TrainingOptions(values.verify_records, init_from, values.profile, saved=run.save)
            if job:
                options = dataclasses.replace(options, checkpoint_dir=job.checkpoints, tensorboard_dir=job.tensorboard)
            info = train(config, values.data_dir, run.folder, options, strategy)
            # The chief of several workers leaves a calibration; a run of an earlier version has none.
            fitted = calibration.load(run.folder) if calibration.is_written(run.folder) else None
    except Interrupted as interrupted:
        say(f'stopped by {interrupted} and saved; the same command goes on')
        return 128 + interrupted.signal_number
    kept = ', '.join(f'{name}: {epoch}' for name, epoch in sorted(info.best_epoch.items()))
    print(f'ended after epoch {info.epochs}; kept of each member the epoch that was best on validation ({kept})')
    print(
        f'{counted(len(info.members), "member")} trained on {info.trained_on} ({words_of_source(info.source)}),'
        f' {info.examples_seen:,} examples; model in {workdir}'
    )
    if fitted:
        print(calibration_words(fitted))
    return 0


@contextlib.contextmanager
def _device_errors() -> Iterator[None]:
    """Turns what TensorFlow and JAX raise when they lack memory or a device fails into a UserError."""
    import tensorflow as tf

    try:
        yield
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        raise _out_of_memory(error) from error
    except tf.errors.OpError as error:
        raise UserError(_cause(error)) from error
    except RuntimeError as error:
        if 'RESOURCE_EXHAUSTED' not in str(error):  # how JAX reports it
            raise
        raise _out_of_memory(error) from error


def _out_of_memory(error: Exception) -> UserError:
    return UserError(f'{_cause(error)} (a lower config.batch_size takes less memory; another --workdir)')


def _cause(error: Exception) -> str:
    """Returns the line of TensorFlow's message that gives the cause: after the graph's trace, before the hints."""
    lines = [line for line in str(error).splitlines() if line and not line[0].isspace() and 'Hint:' not in line]
    return lines[-1] if lines else 'no more memory'


def run() -> None:
    define_flags()
    run_command('sero-train', __name__, parse_flags)


if __name__ == '__main__':
    run()
