"""The current of a simulated cell, in memory."""

import numpy as np


def simulated_current(
    seconds: float, label_name: str = 'NSER', seed: int = 5, udi_ms: float = 1.2
) -> tuple[np.ndarray, np.ndarray]:
    """Returns (n,) float32 in pA at 40 kHz, and the samples of the spikes' troughs."""
    from beam_pipelines.simulation import cells, noise

    rng = np.random.default_rng(seed)
    day = noise.draw_day_noise((11_500.0, 12_600.0), rng)
    cell = cells.draw_cell(label_name, udi_ms, 1.0, rng)
    times_s = cells.spike_times_s(cell, seconds, rng)
    current_pa = noise.background_pa(day, round(seconds * 40_000), rng)
    cells.add_spikes(current_pa, cell, times_s, 40_000, rng)
    return current_pa.astype(np.float32), np.round(times_s * 40_000).astype(np.int64)
