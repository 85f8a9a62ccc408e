"""The paths that a build uses."""

from __future__ import annotations

import dataclasses

from apache_beam.io.filesystems import FileSystems

from beam_pipelines.datasets.configs import BUILDING, LOCK_FILE, METADATA_FILE, NAME, REJECTED_FILE, REPLACED, VERSION

_CHARACTERS_OF_FINGERPRINT = 16


@dataclasses.dataclass(frozen=True)
class BuildPaths:
    """The paths that a build uses; after a successful build only datasets and ``rejected.jsonl`` exist."""

    data_dir: str

    @property
    def root(self) -> str:
        """The folder of all datasets."""
        return FileSystems.join(self.data_dir, NAME)

    @property
    def staging(self) -> str:
        """The folder of each cell's spikes, between reading and writing."""
        return FileSystems.join(self.root, '.staging')

    def bank(self, config: str, fingerprint: str) -> str:
        """The file with all spikes and masks that a plan's dataset is made from."""
        return FileSystems.join(self.staging, f'{config}-{fingerprint[:_CHARACTERS_OF_FINGERPRINT]}.bank')

    @property
    def running(self) -> str:
        """The request of a build that has not ended, and the datasets that it has reserved."""
        return FileSystems.join(self.root, '.running.json')

    @property
    def submitted(self) -> str:
        """A note about a job on a cluster, until the job succeeds."""
        return FileSystems.join(self.root, '.submitted.json')

    @property
    def lock(self) -> str:
        """The file that keeps two builds on this machine apart."""
        return FileSystems.join(self.root, LOCK_FILE)

    @property
    def rejected(self) -> str:
        """The list of all files that were not used."""
        return FileSystems.join(self.root, REJECTED_FILE)

    def dataset(self, config: str) -> str:
        """The folder of a published dataset."""
        return FileSystems.join(self.root, config, VERSION)

    def metadata(self, config: str) -> str:
        """The ``metadata.json`` of a published dataset."""
        return FileSystems.join(self.dataset(config), METADATA_FILE)

    def work(self, config: str) -> str:
        """The folder beside the dataset's that holds the staged files."""
        return FileSystems.join(self.root, config, f'{VERSION}{BUILDING}')

    def staged(self, config: str, fingerprint: str) -> str:
        """The folder in which a plan's dataset is staged until it is published.

        Each plan has its own, so that a worker of an abandoned job cannot write into what another job builds.
        """
        return FileSystems.join(self.work(config), fingerprint[:_CHARACTERS_OF_FINGERPRINT])

    def plan(self, config: str) -> str:
        """The dataset's plan. It tells a restarted build which dataset the staged shards belong to."""
        return f'{self.work(config)}.plan.json'

    def failure(self, config: str) -> str:
        """Why the dataset could not be built, for the process that started the build."""
        return f'{self.work(config)}.failure.json'

    def replaced(self, config: str) -> str:
        """Where a dataset is kept while its replacement is being published."""
        return FileSystems.join(self.root, config, f'{VERSION}{REPLACED}')
