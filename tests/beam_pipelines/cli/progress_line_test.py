import io

import nbclient
import nbformat
import pytest

from beam_pipelines.cli import progress_line
from beam_pipelines.cli.progress_line import ProgressLine


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_the_line_rewrites_itself():
    output = _Terminal()
    line = ProgressLine(output)
    line.show('1 of 2')
    line.show('2 of 2')
    assert output.getvalue() == '\r1 of 2\r2 of 2'


def test_on_a_terminal_a_shorter_text_covers_the_one_before():
    output = _Terminal()
    line = ProgressLine(output)
    line.show('10 left')
    line.show('9 left')
    line.show('done')
    assert output.getvalue() == '\r10 left\r9 left \rdone  '


def test_on_a_terminal_a_kept_text_stays_and_a_cleared_one_is_gone():
    output = _Terminal()
    line = ProgressLine(output)
    line.keep('epoch 1')
    line.show('1 of 2')
    line.clear()
    assert output.getvalue() == '\repoch 1\n\r1 of 2\r      \r'


def test_a_passing_text_is_for_who_looks_on():
    for output, shown in ((_Terminal(), '\rcompiling'), (io.StringIO(), '')):
        ProgressLine(output).show_passing('compiling')
        assert output.getvalue() == shown


def test_an_error_is_not_written_behind_a_passing_text():
    output = _Terminal()
    with pytest.raises(ValueError), ProgressLine(output).passing('compiling'):
        raise ValueError
    assert output.getvalue() == '\rcompiling\r         \r'


def test_in_a_file_each_text_is_a_line_and_nothing_is_cleared():
    output = io.StringIO()
    line = ProgressLine(output)
    line.show('1 of 2')
    line.keep('2 of 2')
    line.clear()
    assert output.getvalue() == '1 of 2\n2 of 2\n'


@pytest.mark.parametrize(('output', 'seconds'), [(_Terminal(), 0.5), (io.StringIO(), 10.0)])
def test_a_line_is_due_seldom_and_more_seldom_in_a_file(output, seconds, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress_line.time, 'monotonic', lambda: now[0])
    line = ProgressLine(output)
    assert not line.is_due()
    now[0] += seconds
    assert line.is_due()
    line.show('text')
    assert not line.is_due()


def test_in_a_notebook_the_line_rewrites_itself():
    module = ProgressLine.__module__
    code = f'from {module} import ProgressLine\nProgressLine().show("1 of 2")\nProgressLine().keep("2 of 2")'
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    nbclient.NotebookClient(notebook, kernel_name='python3').execute()
    assert ''.join(output.text for output in notebook.cells[0].outputs) == '\r1 of 2\r2 of 2\n'


def test_standard_error_is_the_default(capsys):
    ProgressLine().show('text')
    assert capsys.readouterr().err == 'text\n'


def test_text_from_outside_does_nothing_to_the_terminal():
    output = io.StringIO()
    ProgressLine(output).show('cell \x1b[2J\nforged')
    assert output.getvalue() == 'cell \\x1b[2J\\nforged\n'


def test_a_log_that_cannot_be_written_does_not_end_the_work():
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(28, 'No space left on device')

    ProgressLine(Full()).keep('half done')
