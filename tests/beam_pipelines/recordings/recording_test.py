"""Times of samples on the clock of the file, whatever its rate."""

import numpy as np
import pytest

from beam_pipelines.recordings.recording import RecordedCurrent, at_40_khz


@pytest.mark.parametrize('starts_s', [(), (0.0, 5.0)])
def test_a_rate_that_is_taken_for_40_khz_keeps_its_times(starts_s):
    rate_hz = 39_999.2
    sweeps = [np.zeros(40_000, np.float32), np.zeros(40_000, np.float32)]
    recording = at_40_khz(RecordedCurrent(sweeps, rate_hz, sweep_starts_s=starts_s), resample=False)
    assert recording.sweeps[0] is sweeps[0] and recording.sampling_rate_hz == 40_000
    second_s = starts_s[1] if starts_s else 40_000 / rate_hz
    last_s = second_s + 39_999 / rate_hz
    np.testing.assert_allclose(recording.seconds_at(np.array([0, 40_000, 79_999])), [0, second_s, last_s], rtol=1e-12)
    assert recording.duration_s == pytest.approx(80_000 / rate_hz, rel=1e-12)
    assert recording.intervals_s[-1][1] == pytest.approx(second_s + 40_000 / rate_hz, rel=1e-12)


# The fraction by which the last is resampled is 3.6 ppm off.
@pytest.mark.parametrize('rate_hz', [20_000.0, 39_160.7])
def test_a_resampled_current_keeps_its_times(rate_hz):
    at_s = 118.0
    time_s = np.arange(round(120 * rate_hz)) / rate_hz
    current_pa = np.exp(-(((time_s - at_s) / 0.001) ** 2)).astype(np.float32)
    recording = at_40_khz(RecordedCurrent([current_pa], rate_hz), resample=True)
    (found_s,) = recording.seconds_at(np.array([recording.sweeps[0].argmax()]))
    assert found_s == pytest.approx(at_s, abs=0.6 / 40_000)
