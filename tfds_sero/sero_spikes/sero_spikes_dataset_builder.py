"""The sero_spikes dataset: TFDS around the project's own Beam job.

TFDS's Beam writer is not on the path, because it holds a dataset in memory: the job writes the shards and TFDS is told
what they hold.
"""

from __future__ import annotations

import os
import shutil
import sys

import tensorflow_datasets as tfds
from absl import app

from beam_pipelines import domain
from beam_pipelines.cli.words import counted
from beam_pipelines.datasets import configs, tfds_metadata
from beam_pipelines.errors import UserError
from beam_pipelines.planning.options import BuildOptions

_SIMULATED_PROFILE = 'demo'


class RemoteDataDirError(Exception):
    """The data directory is on an object store, where this builder cannot work; the message is one line."""


class Builder(tfds.core.dataset_builder.FileReaderBuilder):
    """Builder of the sero_spikes dataset."""

    VERSION = tfds.core.Version(configs.VERSION)
    RELEASE_NOTES = {configs.VERSION: 'First release.'}
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name=config.name, description=config.description) for config in configs.CONFIGS.values()
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"""\
    The folder holds the recordings: {{{','.join(domain.RECORDING_SETS)}}}/{{{','.join(domain.LABEL_NAMES)}}}/ with .abf
    files (40 kHz, pA, one cell a file, named day#number.abf) or CELL/CELL_trigger_N.csv spike files. Without
    --manual_dir, the dataset is built from simulated recordings.
    """

    def __init__(self, *, data_dir=None, **keywords):
        try:
            super().__init__(data_dir=data_dir, **keywords)
        except Exception as error:
            if not _is_remote(data_dir):
                raise
            _report_in_one_line(RemoteDataDirError)
            reason = str(error).strip().splitlines()[0]
            raise RemoteDataDirError(f'{data_dir}: {reason}; sero-build --data_dir goes by Beam') from error

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=tfds_metadata.features(),
            supervised_keys=tfds_metadata.SUPERVISED_KEYS,
            homepage=tfds_metadata.HOMEPAGE,
            metadata=tfds.core.MetadataDict(),
        )

    def _download_and_prepare(self, dl_manager, download_config=None) -> None:
        # Imported here, so that loading a dataset that is there needs no Beam.
        from apache_beam.options.pipeline_options import PipelineOptions

        from beam_pipelines.launch.run_build import run_build

        _report_in_one_line(UserError)
        download_config = download_config or tfds.download.DownloadConfig()
        config = configs.CONFIGS[self.builder_config.name]
        # While it is being prepared, TFDS gives the dataset a folder of its own: DATA_DIR/NAME/CONFIG/TEMPORARY.
        folder = os.fspath(self.data_path)
        data_dir = os.path.dirname(os.path.dirname(os.path.dirname(folder)))
        if _is_remote(data_dir):
            raise UserError(f'{data_dir}: tfds build writes local folders only; sero-build --data_dir writes there')
        _check_supported(self.info, download_config, UserError)
        _remove_left_behind(folder)
        if download_config.manual_dir is None:
            recordings = _simulated_recordings(os.fspath(dl_manager.download_dir), UserError)
        else:
            recordings = os.fspath(download_config.manual_dir)
        options = BuildOptions(
            recordings=recordings, data_dir=data_dir, configs=(config.name,), **_sharding(download_config)
        )
        if config.synthetic_examples:
            _tell(f'{config.name} will take {options.required_bytes(config.name) / 1e9:.2f} GB of disk in {data_dir}')
        (built,) = run_build(options, download_config.beam_options or PipelineOptions([]), publish=False)
        if built.metadata['files_rejected']:
            rejected = os.path.join(data_dir, configs.NAME, configs.REJECTED_FILE)
            _tell(f'{counted(built.metadata["files_rejected"], "file")} rejected, see {rejected}')
        written = tfds.builder_from_directory(built.folder).info
        self.info.metadata.update(built.metadata)
        self.info.features['cell'].names = written.features['cell'].names
        self.info.set_splits(
            tfds.core.SplitDict(
                info.replace(filename_template=self._get_filename_template(split))
                for split, info in written.splits.items()
            )
        )
        # TFDS writes its own files anew beside the shards, so those of the job may be overwritten.
        shutil.copytree(built.folder, folder, dirs_exist_ok=True, copy_function=os.replace)
        shutil.rmtree(os.path.dirname(built.folder))


def _is_remote(data_dir: str | os.PathLike | None) -> bool:
    return '://' in os.fspath(data_dir or '')


def _tell(message: str) -> None:
    # Not logged, because tfds build shows no log of other packages.
    print(f'{configs.NAME}: {message}', file=sys.stderr, flush=True)


def _remove_left_behind(folder: str) -> None:
    """Removes the folders in which TFDS was preparing this dataset when it was killed: incomplete.RANDOM_VERSION."""
    parent, own = os.path.split(folder)
    for name in os.listdir(parent):
        if name != own and name.startswith('incomplete.') and name.endswith(f'_{configs.VERSION}'):
            shutil.rmtree(os.path.join(parent, name))


def _check_supported(info: tfds.core.DatasetInfo, download_config, error: type[Exception]) -> None:
    if info.file_format != tfds.core.FileFormat.TFRECORD:
        raise error(f'file_format {info.file_format.value}: sero_spikes is made as tfrecord only')
    if download_config.max_examples_per_split is not None:
        raise error('max_examples_per_split: sero_spikes is built whole; --config non_homogeneous is the smallest')
    if download_config.num_shards:
        raise error('num_shards: give max_shard_size instead; the number follows from it')


def _sharding(download_config) -> dict:
    # Without --max_shard_size_mb, TFDS gives its own default, which is not what the user asked for.
    if download_config.max_shard_size != tfds.download.DownloadConfig().max_shard_size:
        return {'max_shard_bytes': download_config.max_shard_size}
    return {}


def _simulated_recordings(download_dir: str, error: type[Exception]) -> str:
    """Simulates the recordings, or takes those that an earlier build has simulated."""
    from beam_pipelines.simulation.recordings import simulate

    folder = os.path.join(download_dir, f'{configs.NAME}_simulated_{_SIMULATED_PROFILE}')
    _tell('no --manual_dir: building from SIMULATED recordings, not from real neurons')
    if not os.path.isdir(folder):
        try:
            simulate(folder, _SIMULATED_PROFILE)
        except UserError as cause:
            raise error(str(cause)) from cause
    return folder


def _report_in_one_line(error: type[Exception]) -> None:
    """Makes ``tfds build`` end a mistake of the user with one line instead of a traceback."""

    class _Handler(app.ExceptionHandler):
        def wants(self, exc):
            return isinstance(exc, error)

        def handle(self, exc):
            print(f'tfds build sero_spikes: {exc}', file=sys.stderr, flush=True)
            # absl logs whatever a handler raises, SystemExit too; all clean-up has run when a handler is called.
            os._exit(1)

    app.install_exception_handler(_Handler())
