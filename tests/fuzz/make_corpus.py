"""Writes the kept corpus anew: ``python -m tests.fuzz.make_corpus``.

It is a small recording of each format, and a network as Keras 2 wrote the authors'.
"""

from __future__ import annotations

import pathlib
import struct
import subprocess
import sys
import tempfile
import zipfile

import numpy as np

from beam_pipelines.recordings.abf_writer import write_abf
from tests.fuzz.networks import AUTHORS_FILE
from tests.fuzz.recordings import CORPUS
from tests.fuzz.zip_mutation import read_zip
from tests.support import foreign_recordings as write
from tests.support.recordings import write_spike_csv
from tests.support.simulated_current import simulated_current

# Half a second is the least that a plain array must have; short files are mutated faster.
_SAMPLES = 20_480


def _current_pa() -> np.ndarray:
    current_pa, spikes = simulated_current(20)
    first = int(spikes[len(spikes) // 2]) - _SAMPLES // 2
    return current_pa[first : first + _SAMPLES]


def _write_abf2(path: pathlib.Path, current_pa: np.ndarray, sweeps: int) -> None:
    """Writes an ABF2 file of one channel with a protocol, an epoch, a tag and the lengths of its sweeps."""
    strings = b'SSCH\x01\0\0\0' + bytes(36) + b'\0\0program\0Im\0pA\0Vcmd\0mV\0'
    content = bytearray(512 * 12)
    content[:4] = b'ABF2'
    struct.pack_into('<4B', content, 4, 0, 0, 6, 2)
    struct.pack_into('<IIII', content, 8, 512, sweeps, 20240307, 0)
    struct.pack_into('<H', content, 30, 0)
    struct.pack_into('<IIII', content, 60, 1, 1, 0, 0)
    sections = (
        (76, 1, 512, 1), (92, 2, 128, 1), (108, 3, 256, 1), (124, 4, 32, 1), (156, 5, 48, 1),
        (172, 6, 64, 1), (220, 7, len(strings), 1), (252, 8, 64, 1), (316, 9, 8, sweeps),
        (236, 12, 2, len(current_pa)),
    )  # fmt: skip
    for position, block, item_bytes, items in sections:
        struct.pack_into('<IIq', content, position, block, item_bytes, items)
    struct.pack_into('<hf', content, 512, 5, 25.0)
    struct.pack_into('<f', content, 512 + 110, 10.0)
    struct.pack_into('<i', content, 512 + 118, 32_768)
    struct.pack_into('<i', content, 512 + 132, 1)
    struct.pack_into('<f', content, 1024 + 28, 1.0)
    struct.pack_into('<ff', content, 1024 + 40, 0.01, 0.0)
    struct.pack_into('<ff', content, 1024 + 48, 1.0, 0.0)
    struct.pack_into('<ii', content, 1024 + 74, 2, 3)
    struct.pack_into('<ii', content, 1536 + 24, 4, 5)
    struct.pack_into('<hh', content, 1536 + 40, 1, 1)
    struct.pack_into('<hhhffiiii', content, 2560, 0, 0, 1, 10.0, 1.0, 1000, 0, 0, 0)
    struct.pack_into('<hh', content, 3072 + 4, 30, 0)
    content[512 * 7 : 512 * 7 + len(strings)] = strings
    for sweep in range(sweeps):
        length = len(current_pa) // sweeps
        struct.pack_into('<ii', content, 512 * 9 + 8 * sweep, length * sweep, length)
    counts = np.clip(np.round(current_pa * 32_768 / 10 * 0.01), -32_768, 32_767).astype('<i2')
    path.write_bytes(bytes(content) + counts.tobytes())


# Run by itself: Keras 2 and 3 cannot work side by side in one process. Equal weights are packed into few bytes.
_NETWORK = """
import sys
import numpy as np
import tf_keras as keras

model = keras.Sequential([
    keras.Input((160, 2, 1)),
    keras.layers.LayerNormalization(axis=1),
    keras.layers.Conv2D(32, (4, 1), activation='relu'),
    keras.layers.MaxPooling2D((2, 1)),
    keras.layers.Conv2D(64, (4, 1), activation='relu'),
    keras.layers.MaxPooling2D((2, 2)),
    keras.layers.Flatten(),
    keras.layers.Dropout(0.5),
    keras.layers.Dense(2, activation='sigmoid'),
])
model.set_weights([np.full(weights.shape, 0.5) for weights in model.get_weights()])
model.save(sys.argv[1])
"""


def _write_network(path: pathlib.Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        written = pathlib.Path(folder, path.name)
        subprocess.run([sys.executable, '-c', _NETWORK, str(written)], check=True)
        entries = read_zip(written.read_bytes())
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


def main() -> None:
    _write_network(AUTHORS_FILE)
    CORPUS.mkdir(exist_ok=True)
    current_pa = _current_pa()
    write_abf(CORPUS / 'A1#1.abf', current_pa, 40_000)
    _write_abf2(CORPUS / 'A1#2.abf', current_pa, 4)
    floats = bytearray((CORPUS / 'A1#1.abf').read_bytes()[:2048])
    struct.pack_into('<h', floats, 100, 1)
    (CORPUS / 'A1#3.abf').write_bytes(bytes(floats) + current_pa.astype('<f4').tobytes() + bytes(4096))
    write.write_wcp(CORPUS / 'A1#4.wcp', current_pa.reshape(2, -1))
    write.write_smr(CORPUS / 'A1#5.smr', current_pa, pause_after=16_000)
    write.write_axgx(CORPUS / 'A1#6.axgx', current_pa)
    write.write_ibw(CORPUS / 'A1#7.ibw', current_pa)
    write.write_nwb(CORPUS / 'A1#8.nwb', {'one': current_pa[: _SAMPLES // 2], 'two': current_pa[_SAMPLES // 2 :]})
    np.save(CORPUS / 'A1#9.npy', current_pa)
    rows = (f'{row / 40_000:.6f},{value:.2f}' for row, value in enumerate(current_pa))
    (CORPUS / 'A1#10.csv').write_text('\n'.join(['time (s),current (pA)', *rows]) + '\n')
    window = np.zeros(160)
    window[40:60] = np.linspace(-60, -20, 20)
    write_spike_csv(CORPUS / 'A1#11', 1000, window)


if __name__ == '__main__':
    main()
