"""Files written past the page cache hold what was written, whatever its size and place in memory."""

import errno
import os

import numpy as np
import pytest

from beam_pipelines.storage.direct_writes import DirectFile, aligned_rows


def _written(path, pieces) -> bytes:
    file = DirectFile(str(path))
    for piece in pieces:
        assert file.write(piece) == piece.nbytes
    file.close()
    return path.read_bytes()


def test_rows_are_written_whatever_their_number(tmp_path):
    rows = aligned_rows(2048, 756)
    rows[:] = np.arange(rows.size, dtype=np.uint32).astype(np.uint8).reshape(rows.shape)
    for number, counts in enumerate([(2048,), (2048, 1024), (1024, 5), (5, 1024, 7), ()]):
        pieces = [rows[:count] for count in counts]
        assert _written(tmp_path / str(number), pieces) == b''.join(piece.tobytes() for piece in pieces)


@pytest.mark.parametrize('most', [4096, 1000])
def test_a_disk_that_takes_a_part_gets_the_rest(tmp_path, monkeypatch, most):
    rows = aligned_rows(1024, 756)
    rows[:] = np.arange(756, dtype=np.uint16).astype(np.uint8)
    write = os.write
    monkeypatch.setattr(os, 'write', lambda descriptor, data: write(descriptor, data[:most]))
    assert _written(tmp_path / 'file', [rows, rows]) == 2 * rows.tobytes()


def test_where_the_system_refuses_direct_writes_they_are_ordinary(tmp_path, monkeypatch):
    rows = aligned_rows(1024, 756)
    rows[:] = 7
    write, refused = os.write, []

    def refuse_once(descriptor, data):
        if not refused:
            refused.append(len(data))
            raise OSError(errno.EINVAL, 'Invalid argument')
        return write(descriptor, data)

    monkeypatch.setattr(os, 'write', refuse_once)
    assert _written(tmp_path / 'file', [rows]) == rows.tobytes()
    assert refused == [rows.nbytes]


def test_a_full_disk_is_an_error(tmp_path, monkeypatch):
    def refuse(descriptor, data):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(os, 'write', refuse)
    file = DirectFile(str(tmp_path / 'file'))
    with pytest.raises(OSError, match='No space left'):
        file.write(aligned_rows(1024, 756))
    file.close()
