"""The pages of the documentation name what the code knows."""

import pytest

from beam_pipelines.recordings.rejection import REASONS
from beam_pipelines.spikes.events import DROP_REASONS
from tests.support.places import ROOT
from trainer.evaluation.cell_warnings import WARNING_CODES


def assert_is_explained(code: str, page: str, columns: int) -> None:
    """Asserts that a page has one row of a table about a code, with something in each column."""
    rows = [line for line in (ROOT / page).read_text().splitlines() if line.startswith(f'| `{code}`')]
    assert len(rows) == 1
    cells = rows[0].strip('|').split('|')
    assert len(cells) == columns and all(cell.strip() for cell in cells)


@pytest.mark.parametrize('reason', [*REASONS, *DROP_REASONS])
def test_each_reason_has_its_cure_in_troubleshooting(reason):
    assert_is_explained(reason, 'docs/troubleshooting.md', 3)


@pytest.mark.parametrize('code', WARNING_CODES)
@pytest.mark.parametrize('page', ['docs/troubleshooting.md', 'docs/classify.md'])
def test_each_warning_has_its_meaning_and_its_cure(code, page):
    assert_is_explained(code, page, 3)


@pytest.mark.parametrize('page', ['docs/troubleshooting.md', 'docs/classify.md'])
def test_no_other_warnings_are_documented(page):
    table = (ROOT / page).read_text().partition('| code | meaning | what to do |')[2].partition('\n\n')[0]
    assert {line.split('`')[1] for line in table.splitlines() if line.startswith('| `')} == set(WARNING_CODES)
