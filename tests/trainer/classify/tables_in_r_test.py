"""cells.csv and spikes.csv in R: each name and number as it was, each column of the type that one expects."""

import os
import re
import subprocess

import numpy as np
import pytest

from tests.support.classified_cells import make_cell, write_verdicts
from tests.support.places import ROOT
from tests.support.requirements import needs_r
from trainer.evaluation.cell_warnings import CellWarning
from trainer.evaluation.outputs import plain_text

pytestmark = needs_r

NAMES = [
    "it's #1", 'a,b "c"#2', '""', '"', "'", "'q'", '#', 'a # b', ' before', 'after ', '=1+1', '-x', "'=x", '+1#2', '@a',
    'x\\n\\', '%s', 'TRUE', '1e5', 'nan', 'Aé#1', '神経😀#1', ';', 'é',
]  # fmt: skip
READ = 'cells <- read.csv("verdicts/cells.csv")\nspikes <- read.csv("verdicts/spikes.csv")'
# Which a plain read.csv takes for something else, the first two if all names are such.
ODD_NAMES = ['007', '1e5', 'NA']


def documented() -> str:
    page = (ROOT / 'docs' / 'classify.md').read_text(encoding='utf-8')
    (lines,) = re.findall(r'```r\n(.*?)```', page, re.DOTALL)
    return lines


def read_in_r(folder, program: str, expression: str) -> list[str]:
    """Returns the values of a vector of text, as their bytes in hexadecimal carry them out of R."""
    program += f'\ncat(sapply({expression}, function(x) paste(charToRaw(enc2utf8(x)), collapse = "")), sep = "\\n")'
    result = subprocess.run(
        ['Rscript', '--vanilla', '-e', program], capture_output=True, text=True, cwd=folder, timeout=60,
        env=os.environ | {'LC_ALL': 'C.UTF-8'},
    )  # fmt: skip
    assert result.returncode == 0 and not result.stderr, result.stderr
    return [bytes.fromhex(line).decode() for line in result.stdout.splitlines()]


def types_in_r(folder, program: str, table: str) -> dict[str, str]:
    names = read_in_r(folder, program, f'names({table})')
    return dict(zip(names, read_in_r(folder, program, f'sapply({table}, class)'), strict=True))


def write(folder, names, **changes):
    cells = [
        make_cell(
            name, f'{name}.abf', seed=number, p_ser=number / 64, udi_ms=np.nan if number == 1 else 1.25,
            warnings=(CellWarning('few_spikes', 'few'), CellWarning('hum', 'hum')) if number == 2 else (), **changes,
        )
        for number, name in enumerate(names)
    ]  # fmt: skip
    write_verdicts(folder / 'verdicts', cells)
    return sorted(cells, key=lambda cell: cell.result.cell)


@pytest.fixture(scope='module')
def verdicts(tmp_path_factory):
    """The folder of the verdicts, and the cells in the order of the table."""
    folder = tmp_path_factory.mktemp('r')
    (folder / 'verdicts').mkdir()
    return folder, write(folder, NAMES, source='simulated')


@pytest.mark.parametrize('how', ['plain', 'documented'])
def test_types_are_those_that_one_expects(how, verdicts):
    folder, _ = verdicts
    program = READ if how == 'plain' else documented()
    cells, spikes = (types_in_r(folder, program, table) for table in ('cells', 'spikes'))
    numbers = dict.fromkeys(('p_ser', 'p_ser_low', 'p_ser_high', 'udi_ms'), 'numeric') | {'n_spikes': 'integer'}
    text = dict.fromkeys(('cell', 'verdict', 'warnings', 'source'), 'character')
    assert cells == numbers | text | {'label': 'logical'}  # R's column of nothing but unknown values
    numbers = dict.fromkeys(('time_s', 'p_ser', 'amplitude_pa', 'snr'), 'numeric') | {'trigger': 'integer'}
    assert spikes == numbers | {'cell': 'character', 'source': 'character', 'udi_ms': 'logical'}


def test_names_are_those_of_the_table_with_a_plain_call(verdicts):
    folder, cells = verdicts
    names = [plain_text(cell.result.cell) for cell in cells]
    assert read_in_r(folder, READ, 'cells$cell') == names
    assert read_in_r(folder, READ, 'unique(spikes$cell)') == names
    assert read_in_r(folder, READ, 'as.character(nrow(spikes))') == [str(7 * len(NAMES))]


def test_names_numbers_and_empty_fields_are_those_of_the_cells_as_documented(verdicts):
    folder, cells = verdicts
    results = [cell.result for cell in cells]
    assert read_in_r(folder, documented(), 'cells$cell') == [result.cell for result in results]
    assert read_in_r(folder, documented(), 'sprintf("%.4f", cells$p_ser)') == [f'{one.p_ser:.4f}' for one in results]
    unknown = read_in_r(folder, documented(), 'cells$cell[is.na(cells$udi_ms)]')
    assert unknown == [NAMES[1]]
    warned = read_in_r(folder, documented(), 'with(cells[!is.na(cells$warnings), ], c(cell, warnings))')
    assert warned == [NAMES[2], 'few_spikes;hum']


def test_names_that_look_like_numbers_or_unknown_values_stay_as_documented(tmp_path):
    (tmp_path / 'verdicts').mkdir()
    write(tmp_path, ODD_NAMES)
    assert read_in_r(tmp_path, documented(), 'cells$cell') == ODD_NAMES
    assert read_in_r(tmp_path, documented(), 'unique(spikes$cell)') == ODD_NAMES
    assert read_in_r(tmp_path, READ, 'as.character(cells$cell)') == ['7', '1e+05', 'NA']
