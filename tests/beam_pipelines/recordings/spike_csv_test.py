import itertools

import numpy as np
import pytest

from beam_pipelines.recordings.rejection import RecordingRejected
from beam_pipelines.recordings.spike_csv import parse_file_name, read_spike_csv
from tests.support.places import SHARED
from tests.support.requirements import needs_shared

_TIME_S = np.arange(160) / 40_000 + 25.1896
_CURRENT_PA = np.random.default_rng(0).normal(0, 30, 160).round(4)


def _rows(time_s=_TIME_S, current_pa=_CURRENT_PA) -> list[str]:
    return [f'{time:.6f},{current}' for time, current in zip(time_s, current_pa, strict=True)]


def _write(tmp_path, rows: list[str], header: str = 'time_s,current_pa') -> str:
    path = tmp_path / 'A140313#073_trigger_1007585.csv'
    path.write_text('\n'.join([header, *rows]) + '\n')
    return str(path)


def _rejection(path: str) -> tuple[str, str]:
    with pytest.raises(RecordingRejected) as raised:
        read_spike_csv(path)
    assert '\n' not in raised.value.detail
    return raised.value.reason, raised.value.detail


def test_two_columns_are_read(tmp_path):
    current_pa = read_spike_csv(_write(tmp_path, _rows()))
    assert current_pa.dtype == np.float32
    np.testing.assert_array_equal(current_pa, _CURRENT_PA.astype(np.float32))


def test_a_row_number_before_the_two_columns_is_allowed(tmp_path):
    rows = [f'{number},{row}' for number, row in enumerate(_rows())]
    current_pa = read_spike_csv(_write(tmp_path, rows, 'index,time_s,current_pA'))
    np.testing.assert_array_equal(current_pa, _CURRENT_PA.astype(np.float32))


def test_line_ends_of_windows_and_a_byte_order_mark_are_read(tmp_path):
    path = tmp_path / 'spike.csv'
    path.write_bytes(b'\xef\xbb\xbf' + '\r\n'.join(['time,current', *_rows(), '']).encode())
    np.testing.assert_array_equal(read_spike_csv(str(path)), _CURRENT_PA.astype(np.float32))


@pytest.mark.parametrize('rows', [159, 161, 0])
def test_another_number_of_rows_is_rejected_with_the_number(tmp_path, rows):
    assert _rejection(_write(tmp_path, (_rows() + _rows())[:rows])) == ('bad_csv', f'{rows} rows, expected 160')


def test_a_file_without_header_line_has_a_row_too_few(tmp_path):
    rows = _rows()
    assert _rejection(_write(tmp_path, rows[1:], header=rows[0])) == ('bad_csv', '159 rows, expected 160')


def test_text_in_place_of_a_number_is_rejected(tmp_path):
    rows = _rows()
    rows[80] = '25.2,spike'
    reason, detail = _rejection(_write(tmp_path, rows))
    assert reason == 'bad_csv'
    assert 'spike' in detail


@pytest.mark.parametrize('row', ['{current}', '0,0,{time},{current}', '{time};{current}'])
def test_another_number_of_columns_is_rejected(tmp_path, row):
    rows = [row.format(time=time, current=current) for time, current in zip(_TIME_S, _CURRENT_PA, strict=True)]
    reason, detail = _rejection(_write(tmp_path, rows))
    assert reason == 'bad_csv'
    assert 'expected 2: time in s, current in pA' in detail


def test_rows_of_different_lengths_are_rejected(tmp_path):
    rows = _rows()
    rows[3] = f'3,{rows[3]}'
    assert _rejection(_write(tmp_path, rows))[1].startswith('[2, 3] columns')


@pytest.mark.parametrize('value', ['nan', 'inf', '-inf'])
def test_a_value_that_is_not_finite_is_rejected(tmp_path, value):
    rows = _rows()
    rows[100] = f'25.1921,{value}'
    assert _rejection(_write(tmp_path, rows))[0] == 'not_finite'


def test_a_current_beyond_float32_is_rejected(tmp_path):
    rows = _rows()
    rows[100] = '25.1921,1e39'
    assert _rejection(_write(tmp_path, rows))[0] == 'not_finite'


def test_bytes_that_are_no_text_are_rejected(tmp_path):
    path = tmp_path / 'spike.csv'
    path.write_bytes(b'\xff\xfe' * 500)
    assert _rejection(str(path)) == ('bad_csv', 'the file is not text')


def test_a_huge_file_is_rejected_unread(tmp_path):
    path = tmp_path / 'spike.csv'
    with open(path, 'wb') as file:
        file.truncate(1 << 40)  # A hole: it takes no disk, but reading it would take hours.
    assert _rejection(str(path)) == ('bad_csv', f'{1 << 40} bytes are too many for one spike')


def test_an_empty_file_is_rejected(tmp_path):
    path = tmp_path / 'spike.csv'
    path.touch()
    assert _rejection(str(path)) == ('bad_csv', '0 rows, expected 160')


def test_a_missing_file_is_unreadable(tmp_path):
    assert _rejection(str(tmp_path / 'none.csv'))[0] == 'unreadable'


@pytest.mark.parametrize(('rate_hz', 'shown'), [(20_000, '20000'), (50_000, '50000'), (1e30, '0')])
def test_a_time_column_at_another_rate_is_rejected_with_the_rate(tmp_path, rate_hz, shown):
    reason, detail = _rejection(_write(tmp_path, _rows(time_s=np.arange(160) / rate_hz)))
    assert reason == 'wrong_rate'
    assert f'runs at {shown} Hz' in detail


@pytest.mark.parametrize(
    'order',
    [
        [*range(80), 81, 80, *range(82, 160)],
        [*range(50, 100), *range(50), *range(100, 160)],
        range(159, -1, -1),
        [*range(80), *range(79, 159)],
        [*range(80), *range(81, 161)],
    ],
    ids=['two swapped', 'two parts swapped', 'backwards', 'one twice', 'one missing'],
)
def test_rows_out_of_the_order_of_time_are_rejected_with_the_row(tmp_path, order):
    rows = [f'{row / 40_000:.6f},{row}' for row in order]
    reason, detail = _rejection(_write(tmp_path, rows))
    assert reason == 'bad_csv'
    assert 'rows are missing, or not in order of time' in detail
    row = next(row for row, (one, other) in enumerate(itertools.pairwise(order), start=1) if other - one != 1)
    row = 1 if order[0] > order[-1] else row
    assert detail.startswith(f'the time goes from {order[row - 1] / 40_000:.6f} s in row {row} to ')


@needs_shared
def test_the_file_whose_time_does_not_rise_is_rejected():
    reason, detail = _rejection(str(SHARED / 'data/faults/time_not_rising.csv'))
    assert reason == 'bad_csv'
    assert detail.startswith('the time goes from 0.001875 s in row 76 to 0.000000 s in the next')


@pytest.mark.parametrize(
    'time_s', [_TIME_S.round(5), (_TIME_S + 75).astype(np.float32), _TIME_S.round(4), _TIME_S - 26]
)
def test_a_time_that_is_rounded_or_negative_is_in_order(tmp_path, time_s):
    rows = [f'{time!r},{current}' for time, current in zip(time_s.tolist(), _CURRENT_PA, strict=True)]
    np.testing.assert_array_equal(read_spike_csv(_write(tmp_path, rows)), _CURRENT_PA.astype(np.float32))


def test_trigger_is_read_from_the_file_name():
    assert parse_file_name('A140313#073_trigger_1007585.csv', 'A140313#073') == 1_007_585


@pytest.mark.parametrize(
    'name',
    [
        'A140313#074_trigger_5.csv',
        'A140313#073_trigger_.csv',
        'A140313#073_trigger_-5.csv',
        'A140313#073_trigger_5.5.csv',
        'A140313#073.csv',
        'A140313#073_trigger_5.csv.csv',
    ],
)
def test_the_name_of_another_cell_or_without_trigger_is_rejected(name):
    with pytest.raises(RecordingRejected, match='bad_name: expected A140313#073_trigger_N.csv in the folder'):
        parse_file_name(name, 'A140313#073')


def test_a_trigger_that_no_record_can_hold_is_rejected():
    with pytest.raises(RecordingRejected, match='bad_name: trigger 34359738368 is beyond 34359738367'):
        parse_file_name('A1#1_trigger_34359738368.csv', 'A1#1')
