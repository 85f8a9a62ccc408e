"""The sero_spikes dataset: TFDS around the project's own Beam job.

TFDS's own Beam writer is not used because it holds a dataset in memory. The job writes the shards, and TFDS gets
their metadata.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec
import tensorflow_datasets as tfds
from absl import app

from beam_pipelines import domain
from beam_pipelines.cli.words import counted
from beam_pipelines.datasets import checksums, configs, tfds_metadata
from beam_pipelines.datasets.croissant import HOMEPAGE
from beam_pipelines.errors import UserError
from beam_pipelines.planning.options import BuildOptions
from beam_pipelines.storage.atomic_files import flush, flush_tree
from beam_pipelines.storage.locks import locked

if TYPE_CHECKING:  # It imports Beam.
    from beam_pipelines.launch.run_build import BuiltDataset

_SIMULATED_PROFILE = 'demo'

# TFDS's, beside dataset_info.json and metadata.json.
_FILES_OF_FEATURES = ('features.json', configs.CELL_NAMES_FILE, configs.LABEL_NAMES_FILE)


class Builder(tfds.core.dataset_builder.FileReaderBuilder):
    """Builder of the sero_spikes dataset."""

    VERSION = tfds.core.Version(configs.VERSION)
    RELEASE_NOTES = {
        '1.1.0': (
            'Spikes are found and cut relative to the running baseline, and events that are no spikes are left out.'
            ' Recordings whose baseline is zero give the spikes of 1.0.0, and sero-build --baseline=none its shards.'
        ),
        '1.0.0': 'First release.',
    }
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name=config.name, description=config.description) for config in configs.CONFIGS.values()
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"""\
    The folder holds the recordings: {{{','.join(domain.RECORDING_SETS)}}}/{{{','.join(domain.LABEL_NAMES)}}}/ with .abf
    files (40 kHz, pA, one cell a file, named day#number.abf) or CELL/CELL_trigger_N.csv spike files. Without
    --manual_dir, the dataset is built from simulated recordings.
    """

    def __init__(self, *, data_dir: str | os.PathLike | None = None, **keywords: Any):
        config = keywords.get('config')
        if isinstance(config, str) and config not in configs.CONFIGS:
            _report_in_one_line()
            raise _UnknownConfig(f'no dataset {config!r}; there are {", ".join(configs.CONFIGS)}')
        try:
            super().__init__(data_dir=data_dir, **keywords)
        except Exception as error:  # Anything that the object store's library raises.
            if not _is_remote(data_dir):
                raise
            _report_in_one_line()
            reason = str(error).strip().splitlines()[0]
            raise UserError(f'{reason}; use sero-build --data_dir, which writes through Beam', file=data_dir) from error

    @property
    def data_path(self) -> tfds.core.Path:
        return _KeptPath(super().data_path)

    def download_and_prepare(self, **keywords: Any) -> None:
        """Does as TFDS does, but alone, and a dataset that is replaced stays until the new one is complete."""
        mode = (keywords.get('download_config') or tfds.download.DownloadConfig()).download_mode
        # A dataset that is only loaded must not wait for the build of another.
        builds = mode != tfds.download.GenerateMode.REUSE_DATASET_IF_EXISTS or not os.path.exists(self.data_dir)
        with self._builds_alone() if builds else contextlib.nullcontext():
            self._replace(**keywords)
            if builds and not _is_remote(self.data_dir):
                self._end_replacement()

    @contextlib.contextmanager
    def _builds_alone(self) -> Iterator[None]:
        """Holds the lock of ``sero-build``, or none in a data directory that can only be read."""
        root = os.path.join(self._data_dir_root, configs.NAME)
        if _is_remote(root):
            yield
            return
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):  # Nothing can be written there, so nobody builds there.
                os.makedirs(root, exist_ok=True)
                stack.enter_context(locked(os.path.join(root, configs.LOCK_FILE)))
            yield

    def _replace(self, **keywords: Any) -> None:
        try:
            super().download_and_prepare(**keywords)
        except BaseException as error:
            _put_back(self.data_dir)
            if isinstance(error, KeyboardInterrupt):
                _report_in_one_line()
                raise _Interrupted('interrupted') from None
            if isinstance(error, OSError):
                raise _disk_error(error, self.data_dir) from error
            raise

    def _end_replacement(self) -> None:
        """Removes the dataset that was replaced, when the new one is on the disk."""
        try:
            flush_tree(self.data_dir)
            flush(os.path.dirname(self.data_dir))
        except OSError as error:
            raise _disk_error(error, self.data_dir) from error
        shutil.rmtree(_aside(self.data_dir), ignore_errors=True)

    def _update_dataset_info(self) -> None:
        super()._update_dataset_info()
        checksums.cover(self.data_dir, [configs.INFO_FILE])

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=tfds_metadata.features(),
            supervised_keys=tfds_metadata.SUPERVISED_KEYS,
            homepage=HOMEPAGE,
            metadata=tfds.core.MetadataDict(),
        )

    def _download_and_prepare(
        self,
        dl_manager: tfds.download.DownloadManager,
        download_config: tfds.download.DownloadConfig | None = None,
    ) -> None:
        # Imported here, so that loading an existing dataset needs no Beam.
        from apache_beam.options.pipeline_options import PipelineOptions

        from beam_pipelines.launch.run_build import run_build

        _report_in_one_line()
        download_config = download_config or tfds.download.DownloadConfig()
        config = configs.CONFIGS[self.builder_config.name]
        # During preparation TFDS gives the dataset a temporary folder: DATA_DIR/NAME/CONFIG/TEMPORARY.
        folder = os.fspath(self.data_path)
        data_dir = os.path.dirname(os.path.dirname(os.path.dirname(folder)))
        if _is_remote(data_dir):
            raise UserError(f'{data_dir}: tfds build writes local folders only; sero-build --data_dir writes there')
        _check_supported(self.info, download_config)
        _remove_left_behind(folder)
        if download_config.manual_dir is None:
            recordings = _simulated_recordings(os.fspath(dl_manager.download_dir))
        else:
            recordings = os.fspath(download_config.manual_dir)
        options = BuildOptions(recordings, data_dir, (config.name,), max_shard_bytes=_max_shard_bytes(download_config))
        if config.synthetic_examples:
            _tell(f'{config.name} will take {options.required_bytes(config.name) / 1e9:.2f} GB of disk in {data_dir}')
        build = run_build(options, download_config.beam_options or PipelineOptions([]), publish=False)
        assert isinstance(build, list)  # A build that is not published is never a DetachedBuild.
        (built,) = build
        if built.metadata.files_rejected:
            rejected = os.path.join(data_dir, configs.NAME, configs.REJECTED_FILE)
            _tell(f'{counted(built.metadata.files_rejected, "file")} rejected, see {rejected}')
        self.info.download_size = dl_manager.downloaded_size
        self._take_over(built)

    def _take_over(self, built: BuiltDataset) -> None:
        """Moves a dataset into the folder that TFDS prepares and gives TFDS its metadata."""
        folder = os.fspath(self.data_path)
        written = tfds.builder_from_directory(built.folder).info
        self.info.metadata.update(msgspec.to_builtins(built.metadata))
        self.info.features['cell'].names = written.features['cell'].names
        self.info.set_splits(
            tfds.core.SplitDict(
                info.replace(filename_template=self._get_filename_template(split))
                for split, info in written.splits.items()
            )
        )
        # TFDS rewrites its own files beside the shards, so the job's copies may be overwritten.
        shutil.copytree(built.folder, folder, dirs_exist_ok=True, copy_function=os.replace)
        shutil.rmtree(os.path.dirname(built.folder))
        self.info.write_to_directory(folder)  # TFDS writes the same again, after the checksums
        checksums.cover(folder, [configs.INFO_FILE, configs.METADATA_FILE, *_FILES_OF_FEATURES])


class _UnknownConfig(UserError, ValueError):
    """TFDS raises a ValueError for a config that does not exist."""


class _Interrupted(UserError):
    exit_status = 130


class _KeptPath(type(tfds.core.Path('/'))):  # type: ignore[misc]
    """The path of a dataset: TFDS removes one that is to be replaced before it looks for what shall replace it."""

    def rmtree(self, missing_ok: bool = False) -> None:
        if not os.path.exists(self):
            return  # Another process is replacing it, and what is kept may be the only one.
        shutil.rmtree(_aside(self), ignore_errors=True)
        try:
            os.replace(self, _aside(self))
        except OSError as error:
            raise _disk_error(error, self) from error


def _aside(folder: str | os.PathLike) -> str:
    """Returns where a dataset is kept while its replacement is being built."""
    return f'{os.fspath(folder)}{configs.REPLACED}'


def _put_back(folder: str | os.PathLike) -> None:
    """Puts a dataset back whose replacement could not be built."""
    aside = _aside(folder)
    if not os.path.isdir(aside) or os.path.exists(folder):
        return
    try:
        os.replace(aside, folder)
    except OSError as error:
        _report_in_one_line()
        raise UserError(f'{error.strerror}; rename it to {os.path.basename(folder)}', file=aside) from error


def _disk_error(error: OSError, folder: str | os.PathLike) -> UserError:
    """Returns what to raise for an error of the disk, which TFDS would show with its traceback."""
    _report_in_one_line()
    return UserError(error.strerror or str(error), file=error.filename or folder)


def _is_remote(data_dir: str | os.PathLike | None) -> bool:
    return '://' in os.fspath(data_dir or '')


def _tell(message: str) -> None:
    # Printed, because tfds build hides the logs of other packages.
    print(f'{configs.NAME}: {message}', file=sys.stderr, flush=True)


def _remove_left_behind(folder: str) -> None:
    """Removes TFDS's folders from killed preparations of this dataset: incomplete.RANDOM_VERSION."""
    parent, own = os.path.split(folder)
    for name in os.listdir(parent):
        if name != own and name.startswith('incomplete.') and name.endswith(f'_{configs.VERSION}'):
            shutil.rmtree(os.path.join(parent, name))


def _check_supported(info: tfds.core.DatasetInfo, download_config: tfds.download.DownloadConfig) -> None:
    if info.file_format != tfds.core.FileFormat.TFRECORD:
        raise UserError(f'file_format {info.file_format.value}: sero_spikes is made as tfrecord only')
    if download_config.max_examples_per_split is not None:
        raise UserError('max_examples_per_split: sero_spikes is built whole; --config non_homogeneous is the smallest')
    if download_config.num_shards:
        raise UserError('num_shards: give max_shard_size instead; the number follows from it')


def _max_shard_bytes(download_config: tfds.download.DownloadConfig) -> int:
    # Without --max_shard_size_mb, TFDS passes its own default instead of ours.
    asked = download_config.max_shard_size
    return BuildOptions.max_shard_bytes if asked == tfds.download.DownloadConfig().max_shard_size else asked


def _simulated_recordings(download_dir: str) -> str:
    """Simulates the recordings, unless an earlier build did."""
    from beam_pipelines.simulation.recordings import simulate

    folder = os.path.join(download_dir, f'{configs.NAME}_simulated_{_SIMULATED_PROFILE}')
    _tell('no --manual_dir: building from SIMULATED recordings, not from real neurons')
    if not os.path.isdir(folder):
        simulate(folder, _SIMULATED_PROFILE)
    return folder


class _UserErrorHandler(app.ExceptionHandler):
    def wants(self, exc: BaseException) -> bool:
        return isinstance(exc, UserError)

    def handle(self, exc: BaseException) -> None:
        assert isinstance(exc, UserError)
        print(f'tfds build sero_spikes: {exc}', file=sys.stderr, flush=True)
        # absl logs anything a handler raises, even SystemExit. All cleanup has run before a handler is called.
        os._exit(exc.exit_status)


@functools.cache  # absl keeps every installed handler
def _report_in_one_line() -> None:
    """Makes ``tfds build`` report the user's mistakes in one line instead of a traceback."""
    app.install_exception_handler(_UserErrorHandler())
