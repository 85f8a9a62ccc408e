"""What TensorBoard shows of a run: losses, accuracy and AUC of each member and of the consensus, weights, spikes."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import tensorflow as tf
from ml_collections import FrozenConfigDict

from beam_pipelines.datasets import record_layout
from trainer.data.shards import read_rows
from trainer.data.stored_dataset import StoredSplit
from trainer.models.ensemble import members_of
from trainer.training.optimization import learning_rate_at

_SPIKES_LOOKED_AT = 32


class TensorBoardLog(keras.callbacks.Callback):
    """Writes an epoch's logs for TensorBoard; must come after the callbacks that add to the logs.

    The curves are named ``train/loss/MEMBER``, ``train/learning_rate``, ``train/input_wait`` and
    ``validation/{loss,accuracy,auc}/{MEMBER,consensus}``, the histograms ``weights/MEMBER/LAYER/kernel``. Their axis is
    the number of steps since the start of the run, so that a resumed run continues the same curves.

    Parameters
    ----------
    folder : of the event files.
    ensemble : the compiled ensemble.
    config : of the run.
    """

    def __init__(self, folder: str, ensemble: keras.Model, config: FrozenConfigDict):
        super().__init__()
        self._writer = tf.summary.create_file_writer(folder)
        self._ensemble = ensemble
        self._config = config

    def show_spikes(self, split: StoredSplit) -> None:
        """Draws the first few spikes of each class in the split."""
        from trainer.reports import figures, waveform_figures  # only this needs matplotlib

        shard = split.shards[0]
        records = record_layout.view_records(read_rows(shard, 0, min(_SPIKES_LOOKED_AT, shard.examples)))
        figure = waveform_figures.example_spikes(records['waveform'], record_layout.decode_varints(records['label']))
        image = tf.io.decode_png(figures.to_png(figure))
        with self._writer.as_default(step=0):
            tf.summary.image('training spikes', image[tf.newaxis])
        self._writer.flush()

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        step = (epoch + 1) * (self._config.examples_per_epoch // self._config.batch_size)
        with self._writer.as_default(step=step):
            for name, value in self._curves(step, logs):
                tf.summary.scalar(name, value)
            for member in members_of(self._ensemble):
                layers = [layer for layer in member.layers if hasattr(layer, 'kernel')]
                for number, layer in enumerate(layers, 1):
                    kernel = keras.ops.convert_to_numpy(layer.kernel)
                    kind = type(layer).__name__.lower()
                    tf.summary.histogram(f'weights/{member.name}/{number}_{kind}/kernel', kernel)
        self._writer.flush()

    def _curves(self, step: int, logs: dict[str, float]) -> Iterator[tuple[str, float]]:
        members = self._ensemble.output_names
        for name in members:
            # With one output Keras reports the total alone.
            yield f'train/loss/{name}', logs['loss' if len(members) == 1 else f'{name}_loss']
        yield 'train/learning_rate', learning_rate_at(self._config, step)
        yield 'train/input_wait', logs['input_wait']
        for key, value in logs.items():
            if key.startswith('val_') and key != 'val_loss':
                name, _, quantity = key.removeprefix('val_').rpartition('_')
                yield f'validation/{quantity}/{name}', value
