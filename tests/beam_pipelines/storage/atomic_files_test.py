from beam_pipelines.storage.atomic_files import write_text


def test_text_is_written_as_given(tmp_path):
    write_text(str(tmp_path / 'cells.csv'), 'µ,1\r\n')
    assert (tmp_path / 'cells.csv').read_bytes() == 'µ,1\r\n'.encode()


def test_earlier_file_is_replaced(tmp_path):
    (tmp_path / 'cells.csv').write_text('a longer text than the new one')
    write_text(str(tmp_path / 'cells.csv'), 'new')
    assert (tmp_path / 'cells.csv').read_text() == 'new'


def test_nothing_is_left_beside_it(tmp_path):
    write_text(str(tmp_path / 'cells.csv'), 'text')
    assert [path.name for path in tmp_path.iterdir()] == ['cells.csv']
