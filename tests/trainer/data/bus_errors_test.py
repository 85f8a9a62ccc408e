import os
import signal
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(sys.platform != 'linux', reason='elsewhere a cut file ends the process')

# Files of four pages are mapped; the program touches a page of "lost" after it was cut, and then what it is told.
_PROGRAM = """
    import faulthandler, mmap, os, sys

    from trainer.data.bus_errors import read_lost_pages_as_zeros

    faulthandler.enable()  # as absl does
    pages = {}
    for path in sys.argv[1:]:
        with open(path, 'wb') as file:
            file.write(b'x' * 4 * mmap.PAGESIZE)
        with open(path, 'rb') as file:
            pages[path] = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    lost, other = pages
    read_lost_pages_as_zeros(lost)
    for path in pages:
        os.truncate(path, mmap.PAGESIZE + 100)
    at = mmap.PAGESIZE
    print(pages[lost][at + 98 : at + 102], pages[lost][-2:], len(pages[lost][:].replace(b'x', b'')), flush=True)
    print(pages[other][-2:], flush=True)
"""


# Again and again, threads that do not hold the interpreter's lock copy the same lost pages, as TensorFlow's do.
_THREADS = """
    import ctypes, mmap, sys, threading

    from trainer.data.bus_errors import read_lost_pages_as_zeros

    path, size = sys.argv[1], 64 * mmap.PAGESIZE
    read_lost_pages_as_zeros(path)

    def copy(source, into):
        together.wait()
        ctypes.memmove(into, source, size)

    for _ in range(100):
        with open(path, 'wb+') as file:
            file.write(b'x' * size)
            file.flush()
            mapped = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE)
            file.truncate(0)
        source = ctypes.addressof(ctypes.c_char.from_buffer(mapped))
        together, copies = threading.Barrier(4), [ctypes.create_string_buffer(b"x" * size, size) for _ in range(4)]
        threads = [threading.Thread(target=copy, args=(source, into)) for into in copies]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not any(bytes(into).strip(bytes(1)) for into in copies)
    print('read')
"""


def _run(*paths: os.PathLike, program: str = _PROGRAM) -> subprocess.CompletedProcess:
    command = [sys.executable, '-c', textwrap.dedent(program), *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_lost_pages_of_a_known_file_are_zeros_and_of_another_a_bus_error(tmp_path):
    result = _run(tmp_path / 'a shard', tmp_path / 'other')
    zeros = 3 * os.sysconf('SC_PAGE_SIZE') - 100
    assert result.stdout == f"b'xx\\x00\\x00' b'\\x00\\x00' {zeros}\n"
    assert result.returncode == -signal.SIGBUS and 'Fatal Python error: Bus error' in result.stderr


@pytest.mark.parametrize('name', ['a\nb', 'naïve \udcff', 'x (deleted)'])
def test_a_file_is_known_whatever_its_name(tmp_path, name):
    link = tmp_path / 'link'
    link.symlink_to(tmp_path, target_is_directory=True)
    result = _run(link / name, tmp_path / 'other')
    assert result.stdout.startswith("b'xx"), result.stderr


def test_threads_may_touch_the_same_lost_page_at_once(tmp_path):
    result = _run(tmp_path / 'a shard', program=_THREADS)
    assert (result.returncode, result.stdout) == (0, 'read\n'), result.stderr
