"""The options of a build: what the datasets depend on besides the recordings."""

from __future__ import annotations

import dataclasses

from beam_pipelines.datasets import record_layout
from beam_pipelines.datasets.configs import CONFIGS, PUBLISHED_EXAMPLES, DatasetConfig
from beam_pipelines.errors import UserError
from beam_pipelines.recordings.reading_options import ReadingOptions
from beam_pipelines.synthesis.synthesizer import Recipe


@dataclasses.dataclass(frozen=True)
class BuildOptions:
    """What a build depends on besides the recordings.

    Attributes
    ----------
    recordings : the recordings root.
    data_dir : the TFDS data directory.
    configs : names of the configs to build.
    seed : seeds splits, shard order, masks and synthesis.
    protocol : ``by_cell`` or ``published``, see ``splits``.
    reading : how recordings are read and their spikes cut.
    max_shard_bytes : size of the largest shard.
    num_masks : how many noise masks a synthetic dataset uses.
    recipe : how a synthetic spike is made.
    synthetic_examples : how many examples of each class the dataset ``synthetic`` has, SER first.

    Raises
    ------
    UserError
        If a number in ``synthetic_examples`` is negative, or both are 0; the message names the flag.
    """

    recordings: str
    data_dir: str
    configs: tuple[str, ...]
    seed: int = 0
    protocol: str = 'by_cell'
    reading: ReadingOptions = ReadingOptions()
    max_shard_bytes: int = 128 << 20
    num_masks: int = 600
    recipe: Recipe = Recipe()
    synthetic_examples: tuple[int, int] = PUBLISHED_EXAMPLES

    def __post_init__(self) -> None:
        if min(self.synthetic_examples) < 0 or not sum(self.synthetic_examples):
            ser, nser = self.synthetic_examples
            raise UserError(f'--synthetic_examples={ser},{nser}: must not be negative, nor both 0')

    @property
    def recording_sets(self) -> frozenset[str]:
        """The recording sets that the configs are made from."""
        return frozenset(CONFIGS[config].recording_set for config in self.configs)

    def examples_of(self, config: DatasetConfig) -> tuple[int, int] | None:
        """Returns how many synthetic examples of each class a dataset has, SER first; None for recorded spikes."""
        return self.synthetic_examples if config.name == 'synthetic' else config.synthetic_examples

    def required_bytes(self, config_name: str) -> int:
        """Returns the size of a synthetic dataset's shards; 0 for recorded spikes, whose number is not known yet."""
        return sum(self.examples_of(CONFIGS[config_name]) or ()) * record_layout.RECORD_BYTES
