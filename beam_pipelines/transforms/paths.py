"""Where a build puts what."""

from __future__ import annotations

import dataclasses

from apache_beam.io.filesystems import FileSystems

from beam_pipelines.datasets.configs import NAME, REJECTED_FILE, VERSION

_CHARACTERS_OF_FINGERPRINT = 16


@dataclasses.dataclass(frozen=True)
class BuildPaths:
    """Where a build puts what; nothing but whole datasets and ``rejected.jsonl`` is left when it ends well."""

    data_dir: str

    @property
    def root(self) -> str:
        return FileSystems.join(self.data_dir, NAME)

    @property
    def staging(self) -> str:
        """Spikes of each cell, between reading and writing."""
        return FileSystems.join(self.root, '.staging')

    @property
    def running(self) -> str:
        """The options of a build that has not ended, and which datasets were not there when it began."""
        return FileSystems.join(self.root, '.running.json')

    @property
    def submitted(self) -> str:
        """A note of a job that nobody waits for, until it ends well."""
        return FileSystems.join(self.root, '.submitted.json')

    @property
    def lock(self) -> str:
        return FileSystems.join(self.root, '.lock')

    @property
    def rejected(self) -> str:
        return FileSystems.join(self.root, REJECTED_FILE)

    def dataset(self, config: str) -> str:
        return FileSystems.join(self.root, config, VERSION)

    def work(self, config: str) -> str:
        """The folder that holds what grows, beside its place."""
        return FileSystems.join(self.root, config, f'{VERSION}.building')

    def growing(self, config: str, fingerprint: str) -> str:
        """The folder in which the dataset of a plan grows.

        It has a name of its own, so that a worker of a job that was given up cannot write into what another job builds.
        """
        return FileSystems.join(self.work(config), fingerprint[:_CHARACTERS_OF_FINGERPRINT])

    def plan(self, config: str) -> str:
        """The dataset's plan, which tells a build that is started again whose the shards in the work folder are."""
        return f'{self.work(config)}.plan.json'

    def failure(self, config: str) -> str:
        """Why the dataset could not be built, for the process that started the build."""
        return f'{self.work(config)}.failure.json'

    def replaced(self, config: str) -> str:
        """Where a dataset is put while the one that replaces it is moved to its place."""
        return FileSystems.join(self.root, config, f'{VERSION}.replaced')
