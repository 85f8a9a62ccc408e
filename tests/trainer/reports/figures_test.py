"""Figures are the same whatever the user's own settings of matplotlib are."""

import matplotlib
import pytest
from matplotlib.figure import Figure

from trainer.reports import figures


def _png() -> bytes:
    @figures.style_of_figures()
    def draw() -> Figure:
        figure = Figure(figsize=(2, 1))
        figure.subplots().plot([0, 1], [0, 1], label='$cell_1$')
        figure.legend()
        return figure

    return figures.to_png(draw())


@pytest.mark.parametrize(
    'settings',
    [
        {'text.usetex': True},
        {'axes.facecolor': 'black', 'lines.linewidth': 9.0, 'savefig.bbox': 'tight'},
        {'axes.formatter.use_locale': True, 'figure.dpi': 30.0, 'savefig.dpi': 30.0},
    ],
)
def test_settings_of_the_user_change_nothing(settings):
    expected = _png()
    with matplotlib.rc_context(settings):
        assert _png() == expected
