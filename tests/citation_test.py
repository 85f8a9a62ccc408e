"""What is cited is the same wherever it stands."""

from beam_pipelines.citation import BIBTEX
from tests.support.places import ROOT


def test_cards_cite_what_tfds_shows():
    assert (ROOT / 'tfds_sero' / 'sero_spikes' / 'CITATIONS.bib').read_text() == BIBTEX
