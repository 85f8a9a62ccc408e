"""Model files such as the authors', written by Keras 2."""

import pathlib
import subprocess
import sys

import numpy as np

from tests.support.spikes import make_spikes

# Run by itself: Keras 2 and 3 cannot work side by side in one process.
_PROGRAM = """
import os, sys
import numpy as np
import tf_keras as keras

def layers(kernel_size, dense=2):
    return [
        keras.layers.LayerNormalization(axis=1),
        keras.layers.Conv2D(32, (kernel_size, 1), activation='relu'),
        keras.layers.MaxPooling2D((2, 1)),
        keras.layers.Conv2D(64, (kernel_size, 1), activation='relu'),
        keras.layers.MaxPooling2D((2, 2)),
        keras.layers.Flatten(),
        keras.layers.Dropout(0.5),
        keras.layers.Dense(dense, activation='sigmoid'),
    ]

def sequential(layers):
    return keras.Sequential([keras.Input((160, 2, 1)), *layers])

def functional(layers):
    outputs = inputs = keras.Input((160, 2, 1))
    for layer in layers:
        outputs = layer(outputs)
    return keras.Model(inputs, outputs)

os.chdir(sys.argv[1])
keras.utils.set_random_seed(1)
models = {
    'ModConvBinNormN4': sequential(layers(4)),
    'ModConvBinNormN4-v9': sequential(layers(4)),
    'ModConvBinNormN4-v10': sequential(layers(4)),
    'ModConvBinNormN6': functional(layers(6)),
    'three_outputs': sequential(layers(4, dense=3)),
    'lambda': sequential([*layers(4)[:2], keras.layers.Lambda(lambda x: (open('ran', 'w'), x)[1]), *layers(4)[3:]]),
}
spikes = np.load('spikes.npy')
with_time = np.stack([np.broadcast_to(np.arange(160, dtype=np.float32) / 40_000, spikes.shape), spikes], -1)[..., None]
scores = {}
for name, model in models.items():
    model.compile('adam', 'binary_crossentropy')
    if name.startswith('Mod'):
        labels = np.eye(2)[np.arange(len(spikes)) % 2]
        model.fit(with_time, labels, epochs=2, verbose=0)
        scores[name] = model(with_time, training=False).numpy()
    model.save(name + '.keras')
np.savez('scores.npz', **scores)
"""


def write_authors_models(folder: pathlib.Path) -> None:
    """Writes kernel sizes 4 (three chunks) and 6, and two other networks.

    `spikes.npy` holds (n, 160) pA, and `scores.npz` what Keras 2 computes of them.
    """
    np.save(folder / 'spikes.npy', make_spikes(20)[0])
    result = subprocess.run([sys.executable, '-c', _PROGRAM, str(folder)], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    (folder / 'ran').unlink(missing_ok=True)
