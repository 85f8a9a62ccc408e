import pytest

from beam_pipelines.domain import recording_day


@pytest.mark.parametrize(
    ('cell_id', 'day'),
    [
        ('A140313#073', 'A140313'),
        ('2024_03_07#2', '2024_03_07'),
        ('2024_03_07_0002', '2024_03_07'),
        ('mouse3 2024-03-07 cell 2', '2024-03-07'),
        ('20240307_0002', '20240307'),
        ('18425108', '18425'),
        ('17o05027_ic_ramp', '17o05'),
        ('171116sh_0014', '171116'),
        ('130618-1-12', '130618'),
        ('A140313', '140313'),
        # No dates:
        ('cell_12', 'cell_12'),
        ('2024_13_07_0002', '2024_13_07_0002'),
        ('123456789', '123456789'),
        ('File_axon_3', 'File_axon_3'),
    ],
)
def test_the_day_is_recognised_in_names_as_people_have_them(cell_id, day):
    assert recording_day(cell_id) == day


def test_a_pattern_says_where_the_day_is():
    assert recording_day('raphe_d12_c3', r'd\d+') == 'd12'
    assert recording_day('raphe_c3', r'd\d+') == 'raphe_c3'
