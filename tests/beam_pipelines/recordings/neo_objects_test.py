"""Which sweeps of neo's objects belong together, in which order, and how long they may be."""

import neo
import numpy as np
import pytest
import quantities as pq

from beam_pipelines.recordings import limits
from beam_pipelines.recordings.library_objects import read_library_object
from beam_pipelines.recordings.rejection import RecordingRejected

CURRENT_PA = np.random.default_rng(0).normal(0, 10, 4000).astype(np.float32)
FIRST, SECOND = CURRENT_PA.reshape(2, -1)


def signal_of(current: np.ndarray, start_s: float = 0, rate_hz: float = 40_000, name: str = '') -> neo.AnalogSignal:
    return neo.AnalogSignal(current, units='pA', sampling_rate=rate_hz * pq.Hz, t_start=start_s * pq.s, name=name)


def block_of(*sweeps: list[neo.AnalogSignal]) -> neo.Block:
    block = neo.Block()
    for signals in sweeps:
        segment = neo.Segment()
        segment.analogsignals.extend(signals)
        block.segments.append(segment)
    return block


def rejection_of(recording: neo.Block, channel: str | None = None) -> str:
    with pytest.raises(RecordingRejected) as raised:
        read_library_object(recording, channel)
    assert '\n' not in str(raised.value)
    return str(raised.value)


def test_sweeps_of_one_signal_may_have_names_of_their_own():
    block = block_of([signal_of(FIRST, name='sweep 1')], [signal_of(SECOND, 1, name='sweep 2')])
    (current,) = read_library_object(block)
    np.testing.assert_array_equal(np.concatenate(current.sweeps), CURRENT_PA)


def test_sweeps_of_several_signals_must_have_the_same_names():
    block = block_of(
        [signal_of(FIRST, name='a'), signal_of(FIRST, name='b')],
        [signal_of(SECOND, 1, name='b'), signal_of(SECOND, 1, name='a')],
    )
    assert rejection_of(block).startswith('wrong_channel: its segments have different channels')


def test_segments_out_of_order_are_put_into_the_order_of_time():
    (current,) = read_library_object(block_of([signal_of(SECOND, 65)], [signal_of(FIRST, 5)], [signal_of(FIRST[:0])]))
    np.testing.assert_array_equal(np.concatenate(current.sweeps), CURRENT_PA)
    assert current.sweep_starts_s == (0.0, 60.0)


def test_segments_that_all_start_at_zero_stay_in_their_order():
    (current,) = read_library_object(block_of([signal_of(FIRST)], [signal_of(SECOND)]))
    np.testing.assert_array_equal(np.concatenate(current.sweeps), CURRENT_PA)
    assert current.sweep_starts_s == ()


def test_rates_may_differ_by_a_rounding_error_and_no_more():
    (current,) = read_library_object(block_of([signal_of(FIRST)], [signal_of(SECOND, rate_hz=40_000.01)]))
    assert current.sampling_rate_hz == 40_000
    block = block_of([signal_of(FIRST)], [signal_of(SECOND, rate_hz=40_000.045)])
    assert rejection_of(block) == 'wrong_rate: segments of 40000 to 40000.045 Hz'


def test_too_long_counts_the_channels_that_are_read(monkeypatch):
    monkeypatch.setattr(limits, 'MOST_SAMPLES', len(CURRENT_PA))
    block = block_of(*[[signal_of(half, name='a'), signal_of(half, name='b')] for half in (FIRST, SECOND)])
    assert len(read_library_object(block, 'b')) == 1
    assert rejection_of(block).startswith('too_long: 8000 samples are more than')


def test_too_many_segments_are_rejected():
    block = neo.Block()
    (segment,) = block_of([signal_of(FIRST[:1])]).segments
    block.segments.extend([segment] * (limits.MOST_SWEEPS + 1))
    assert rejection_of(block).startswith('too_long: 10001 sweeps')


def test_a_channel_without_a_name_has_its_number():
    block = block_of([signal_of(FIRST), signal_of(FIRST, name='Im')])
    assert rejection_of(block, '7') == 'wrong_channel: no channel 7; there are 0, Im'
