"""Writes a current, in pA at 40 kHz unless said otherwise, as recordings of other programs.

WinWCP, Spike2 and AxoGraph have no writer in Python: their files are put together here from the published formats.
"""

import datetime
import pathlib
import struct

import numpy as np

_RATE_HZ = 40_000


def write_wcp(path: pathlib.Path, sweeps_pa: np.ndarray, unit: str = 'pA', started: str = '') -> np.ndarray:
    """Writes sweeps, (s, n) in ``unit``, as a WinWCP file beside a voltage; returns them as stored, to 16 bits.

    WinWCP records whole sectors, so n is a multiple of 128. ``started`` is written as ``25/04/2018 15:47:51``.
    """
    assert sweeps_pa.shape[1] % 128 == 0
    full_scale, resolution = float(np.abs(sweeps_pa).max()) * 1.01, 32_767
    stored = np.round(sweeps_pa / full_scale * resolution).astype('<i2')
    sectors = -(-stored.shape[1] * 4 // 512)
    header = {
        'VER': 8, 'NC': 2, 'NR': len(stored), 'NBH': 2, 'NBA': 2, 'NBD': sectors, 'ADCMAX': resolution, 'DT': 2.5e-5,
        'YN0': 'Im', 'YU0': unit, 'YG0': '1,0', 'YO0': 0, 'YN1': 'Vm', 'YU1': 'mV', 'YG1': '1,0', 'YO1': 1,
    }  # fmt: skip
    if started:
        header |= {'VER': 9, 'RTIME': started}
    lines = ''.join(f'{key}={value}\r\n' for key, value in header.items())
    content = lines.encode().ljust(1024, b'\0')
    for number, sweep in enumerate(stored):
        analysis = struct.pack('<8s4sfff8f', b'ACCEPTED', b'TEST', 1, number, 1 / _RATE_HZ, *[full_scale] * 8)
        frames = np.zeros((sectors * 128, 2), '<i2')
        frames[: len(sweep), 0] = sweep
        content += analysis.ljust(1024, b'\0') + frames.tobytes()
    path.write_bytes(content)
    return stored * (full_scale / resolution)


def write_smr(path: pathlib.Path, current_pa: np.ndarray, unit: str = 'pA', pause_after: int | None = None) -> None:
    """Writes a current, (n,), as a Spike2 file of floats, perhaps with a pause of a second after so many samples."""
    block_samples, ticks_per_sample, blocks = 8_000, 5, []
    for start in range(0, len(current_pa), block_samples):
        pause = 200_000 if pause_after is not None and start >= pause_after else 0
        samples = current_pa[start : start + block_samples].astype('<f4')
        blocks.append((start * ticks_per_sample + pause, samples))
    stride = -(-(20 + 4 * block_samples) // 512)
    first = 2
    header = struct.pack('<h10s8shhhihhhhhid', 9, b'(C) CED 87', b'test    ', 5, 1, 0, 1, 1, 140, 0, 0, 0, 0, 1e-6)
    header = header.ljust(512, b'\0')
    channel = struct.pack('<hiiihhhhhh', 0, -1, first, first + (len(blocks) - 1) * stride, len(blocks), 0, 0, 0, 0, 0)
    channel += bytes(72) + struct.pack('<iih', 0, ticks_per_sample, 0)
    channel += b'\x02Im'.ljust(10, b'\0') + struct.pack('<fBb', _RATE_HZ, 9, 0)
    channel += struct.pack('<ff', -1, 1) + (bytes([len(unit)]) + unit.encode()).ljust(6, b'\0') + struct.pack('<h', 1)
    content = (header + channel).ljust(512 * first, b'\0')
    for number, (start, samples) in enumerate(blocks):
        successor = first + (number + 1) * stride if number + 1 < len(blocks) else -1
        end = start + (len(samples) - 1) * ticks_per_sample
        block = struct.pack('<iiiihh', -1, successor, start, end, 1, len(samples)) + samples.tobytes()
        content += block.ljust(512 * stride, b'\0')
    path.write_bytes(content)


def write_axgx(path: pathlib.Path, current_pa: np.ndarray, notes: str = '') -> None:
    """Writes a current, (n,), as an AxoGraph X file in A, as AxoGraph does, perhaps with its notes."""

    def title(text: str) -> bytes:
        encoded = text.encode('utf-16-be')
        return struct.pack('>i', len(encoded)) + encoded

    content = b'axgx' + struct.pack('>ii', 6, 2)
    content += struct.pack('>ii', len(current_pa), 9) + title('Time (s)') + struct.pack('>dd', 0, 1 / _RATE_HZ)
    content += (
        struct.pack('>ii', len(current_pa), 6) + title('Current (A)') + (current_pa * 1e-12).astype('>f4').tobytes()
    )
    if notes:
        content += title('a comment') + title(notes)
    path.write_bytes(content)


def write_ibw(path: pathlib.Path, values: np.ndarray, unit: str = 'pA', rate_hz: float = _RATE_HZ) -> None:
    """Writes a current, (n,) or (n, sweeps), as an Igor binary wave."""
    import igorwriter

    wave = igorwriter.IgorWave(values, name='current')
    wave.set_dimscale('x', 0, 1 / rate_hz, 's')
    wave.set_datascale(unit)
    wave.save(str(path))


def write_nwb(
    path: pathlib.Path,
    currents_pa: dict[str, np.ndarray],
    keywords: list[str] | None = None,
    starts_s: dict[str, float] | None = None,
    rate_hz: float = _RATE_HZ,
) -> None:
    """Writes currents, {series: (n,)}, as voltage-clamp series of an NWB file, beside a command and a potential.

    Each has an electrode of its own; with ``starts_s``, all are sweeps of one.
    """
    import pynwb

    start = datetime.datetime(2024, 3, 7, 12, tzinfo=datetime.timezone.utc)
    file = pynwb.NWBFile('a test', 'id', start, keywords=keywords)
    amplifier = file.create_device('amplifier')

    def electrode(name: str):
        return file.create_icephys_electrode(name=name, description='loose patch', device=amplifier)

    pipette = electrode('pipette')
    for name, current_pa in currents_pa.items():
        # Stored as rigs do: integers with a conversion to A.
        scale_pa = float(np.nanmax(np.abs(current_pa))) / 32_000 or 1.0
        data = np.round(current_pa / scale_pa)
        series = pynwb.icephys.VoltageClampSeries(
            name=name,
            data=data.astype(np.int16) if np.isfinite(data).all() else data,
            electrode=pipette if starts_s else electrode(f'pipette of {name}'),
            gain=1.0,
            rate=float(rate_hz),
            conversion=scale_pa * 1e-12,
            starting_time=starts_s[name] if starts_s else 0.0,
        )
        file.add_acquisition(series)
    silence = np.zeros(400)
    file.add_stimulus(
        pynwb.icephys.CurrentClampStimulusSeries(
            name='command', data=silence, electrode=pipette, gain=1.0, rate=float(_RATE_HZ)
        )
    )
    file.add_acquisition(pynwb.TimeSeries(name='potential', data=silence, unit='volts', rate=float(_RATE_HZ)))
    with pynwb.NWBHDF5IO(path, 'w') as io:
        io.write(file)


def add_series(path: pathlib.Path, name: str, values: np.ndarray, unit: str) -> None:
    """Adds a plain series without an electrode to an NWB file."""
    import pynwb

    with pynwb.NWBHDF5IO(path, 'a') as io:
        file = io.read()
        file.add_acquisition(pynwb.TimeSeries(name=name, data=values, unit=unit, rate=float(_RATE_HZ)))
        io.write(file)


def add_units(path: pathlib.Path, spike_times_s: list[np.ndarray | None]) -> None:
    """Adds units to an NWB file, as a sorter does, with a column of its own; those of None have no times."""
    import pynwb

    with pynwb.NWBHDF5IO(path, 'a') as io:
        file = io.read()
        file.add_unit_column('quality', 'by hand')
        for times_s in spike_times_s:
            times = {} if times_s is None else {'spike_times': times_s}
            file.add_unit(**times, quality='good')
        io.write(file)
