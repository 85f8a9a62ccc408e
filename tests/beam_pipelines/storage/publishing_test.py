import os

from beam_pipelines.storage import publishing


def test_a_folder_takes_the_place_of_another_and_nothing_of_that_stays(tmp_path):
    a, b = tmp_path / 'a', tmp_path / 'b'
    for folder in (a, b):
        folder.mkdir()
        (folder / f'of {folder.name}').write_bytes(b'1')
        assert publishing.is_published(str(folder), 'any')
    publishing.replace_folder(str(a), str(b), str(tmp_path / 'aside'))
    assert os.listdir(tmp_path) == ['b'] and os.listdir(b) == ['of a']
