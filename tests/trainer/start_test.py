import subprocess
import sys

import pytest


@pytest.mark.slow
def test_keras_starts_on_tensorflow_without_a_word():
    program = 'from trainer.start import describe_device, start_keras; start_keras(); print(describe_device())'
    result = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, timeout=120)
    assert result.stderr == ''
    assert result.stdout.startswith('tensorflow on ')


@pytest.mark.slow
def test_import_that_fails_shows_what_it_wrote(tmp_path):
    (tmp_path / 'tensorflow.py').write_text(
        'import sys\nprint("libfoo is missing", file=sys.stderr)\nraise ImportError("no foo")\n'
    )
    program = f'import sys; sys.path.insert(0, {str(tmp_path)!r}); from trainer.start import start_keras; start_keras()'
    result = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, timeout=120)
    assert 'libfoo is missing' in result.stderr
    assert 'ImportError: no foo' in result.stderr
