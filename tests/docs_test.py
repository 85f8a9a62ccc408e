"""The pages of the documentation name what the code knows."""

import pytest

from beam_pipelines.recordings.rejection import REASONS
from beam_pipelines.spikes.events import DROP_REASONS
from tests.support.places import ROOT


@pytest.mark.parametrize('reason', [*REASONS, *DROP_REASONS])
def test_each_reason_has_its_cure_in_troubleshooting(reason):
    page = (ROOT / 'docs/troubleshooting.md').read_text()
    rows = [line for line in page.splitlines() if line.startswith(f'| `{reason}`')]
    assert len(rows) == 1
    assert all(cell.strip() for cell in rows[0].strip('|').split('|'))
