import msgspec
import numpy as np
import pytest

from beam_pipelines.recordings.reading_options import DEFAULT_CUTTING, PUBLISHED_CUTTING
from beam_pipelines.recordings.rejection import RecordingRejected
from beam_pipelines.recordings.spike_csv import read_spike_csv
from beam_pipelines.spikes.csv_windows import prepare_window
from tests.support.places import SHARED
from tests.support.requirements import needs_shared
from tests.support.spikes import as_cut, make_spikes

_SPIKES = as_cut(make_spikes(20)[0])
_SPIKE = _SPIKES[0]


def _cutting(**changes):
    return msgspec.structs.replace(DEFAULT_CUTTING, **changes)


def _rejection(window, **changes) -> tuple[str, str]:
    with pytest.raises(RecordingRejected) as raised:
        prepare_window(np.asarray(window, np.float32), _cutting(**changes))
    return raised.value.reason, raised.value.detail


@pytest.mark.parametrize('cutting', [DEFAULT_CUTTING, PUBLISHED_CUTTING])
def test_spikes_cut_at_the_threshold_stay_as_they_are(cutting):
    for spike in _SPIKES:
        window, is_inverted = prepare_window(spike, cutting)
        assert window is spike and not is_inverted


@needs_shared
@pytest.mark.parametrize('name', ['spike', *(f'synthetic_{number}' for number in range(1, 5))])
@pytest.mark.parametrize('cutting', [DEFAULT_CUTTING, PUBLISHED_CUTTING])
def test_the_published_spikes_pass(name, cutting):
    read = read_spike_csv(str(SHARED / f'data/published/published_{name}.csv'))
    np.testing.assert_array_equal(prepare_window(read, cutting)[0], read)


def test_spikes_rounded_to_whole_pa_pass():
    for before, at in ((-50.0, -50.0), (-50.0, -51.0), (-49.0, -50.0)):
        window = _SPIKE.copy()
        window[39:41] = before, at
        prepare_window(window, DEFAULT_CUTTING)


@needs_shared
def test_the_published_spike_in_amperes_is_rejected_with_the_factor_that_makes_it_pass():
    window = read_spike_csv(str(SHARED / 'data/faults/spike_in_amperes_trigger_1007585.csv'))
    reason, detail = _rejection(window)
    assert reason == 'suspicious_scale' and '--scale=1e+12 would' in detail
    prepared, _ = prepare_window(window, _cutting(scale=1e12))
    assert prepared[40] == pytest.approx(-52.58, abs=0.01)


@pytest.mark.parametrize('factor', [1e-12, 1e-9, 1e-6, 1e-3, 1e3])
@pytest.mark.parametrize('height', [1, 30])
def test_another_unit_is_rejected_with_the_factor(factor, height):
    window = np.where(np.arange(160) > 40, height * _SPIKE, _SPIKE)  # up to some nA high
    reason, detail = _rejection(window * factor)
    assert reason == 'suspicious_scale'
    assert f'--scale={1 / factor:g} would make them {window[39]:.4g} and {window[40]:.4g} pA' in detail
    prepared, _ = prepare_window(np.float32(window * factor), _cutting(scale=1 / factor))
    np.testing.assert_allclose(prepared, window, rtol=1e-5)


def test_another_unit_and_upward_names_both():
    reason, detail = _rejection(-_SPIKE / 1000)
    assert reason == 'suspicious_scale' and '--scale=1000 and --polarity=up would make' in detail
    prepared, is_inverted = prepare_window(np.float32(-_SPIKE / 1000), _cutting(scale=1000.0, polarity='up'))
    np.testing.assert_allclose(prepared, _SPIKE, rtol=1e-5)
    assert is_inverted


def test_a_scale_that_a_file_does_not_need_is_rejected():
    assert '--scale=1 would make' in _rejection(_SPIKE, scale=1000.0)[1]


def test_an_upward_spike_is_rejected_and_turned_if_asked():
    reason, detail = _rejection(-_SPIKE)
    assert reason == 'inverted' and detail.endswith('give --polarity=up')
    for polarity in ('up', 'auto'):
        prepared, is_inverted = prepare_window(-_SPIKE, _cutting(polarity=polarity))
        np.testing.assert_array_equal(prepared, _SPIKE)
        assert is_inverted
    assert _rejection(_SPIKE, polarity='up')[1].endswith('give --polarity=down')


@pytest.mark.parametrize('shift', [-10, -2, 2, 10])
def test_a_window_that_is_not_cut_at_the_threshold_is_rejected_with_what_stands_there(shift):
    window = np.roll(_SPIKE, shift)
    reason, detail = _rejection(window)
    assert reason == 'bad_csv'
    assert detail.startswith(
        f'the current is {window[39]:.4g} pA in row 40 and {window[40]:.4g} pA in row 41, expected'
    )
    assert 'the first at or below -50 pA in row 41' in detail


def test_noise_is_no_spike_in_another_unit():
    noise = np.random.default_rng(0).normal(0, 3, 160)
    assert {_rejection(np.roll(noise, shift))[0] for shift in range(160)} == {'bad_csv'}


def test_the_threshold_is_that_of_the_build():
    assert _rejection(_SPIKE, trigger_pa=-30.0)[0] == 'bad_csv'
    weaker = 0.5 * _SPIKE
    assert _rejection(weaker)[0] == 'bad_csv'
    prepare_window(weaker, _cutting(trigger_pa=-25.0))


def test_a_threshold_that_follows_the_noise_asks_for_a_fall_in_pa():
    cutting = {'trigger_sd': 6.0}
    for height in (1, 0.2):
        prepare_window(np.float32(height) * _SPIKE, _cutting(**cutting))
    assert _rejection(-_SPIKE, **cutting)[0] == 'inverted'
    assert _rejection(_SPIKE * 1e-12, **cutting)[0] == 'suspicious_scale'
    assert _rejection(_SPIKE[::-1], **cutting)[0] == 'bad_csv'
