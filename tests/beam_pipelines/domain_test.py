import pytest

from beam_pipelines.domain import recording_day


@pytest.mark.parametrize(
    ('cell_id', 'day'),
    [
        ('A140313#073', 'A140313'),
        ('2024_03_07#2', '2024-03-07'),
        ('2024_03_07_0002', '2024-03-07'),
        ('mouse3 2024-03-07 cell 2', '2024-03-07'),
        ('20240307_c2', '2024-03-07'),
        ('07-03-2024 cell 4', '2024-03-07'),
        ('cell 4 07.03.2024', '2024-03-07'),
        ('07032024_1', '2024-03-07'),
        ('03-27-2024 cell 4', '2024-03-27'),
        ('24307002', '2024-03-07'),
        ('240307_1', '2024-03-07'),
        ('18425108', '2018-04-25'),
        ('17o05027_ic_ramp', '2017-10-05'),
        ('99D31000', '1999-12-31'),
        ('171116sh_0014', '2017-11-16'),
        ('130618-1-12', '2013-06-18'),
        ('A140313', '2014-03-13'),
        # No dates:
        ('cell12', 'cell12'),
        ('cell_12', 'cell_12'),
        ('32-03-2024', '32-03-2024'),
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
    assert recording_day('c3_240307', r'c\d+_(\d{6})') == '240307'
    assert recording_day('c3', r'c\d+(_\d{6})?') == 'c3'
