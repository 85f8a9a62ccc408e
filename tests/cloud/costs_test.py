"""The tables of costs in docs/cloud.md: figures that they take from docs/performance.md, and their own arithmetic."""

import re

import pytest

from tests.support.places import ROOT

_PAGE = (ROOT / 'docs' / 'cloud.md').read_text()
_CITED = (ROOT / 'docs' / 'performance.md').read_text()
_FIGURE = re.compile(r'(?<![\w.^])\d+(?:,\d{3})*(?:\.\d+)?(?!\w)')
_MINUTES = {'min': 1, 'h': 60}
# What a row of work is paid for: the first word or two of its row of prices, and how many of them.
_MACHINES = {'2 cores': ('c4-highcpu-4', 1), 'H100': ('a3-highgpu-1g', 1), 'v6e': ('TPU v6e', 4)}


def _rows(header: str) -> list[list[str]]:
    lines = _PAGE.partition(f'{header}\n')[2].partition('\n\n')[0].splitlines()[1:]
    return [[cell.strip() for cell in line.strip('|').split('|')] for line in lines]


_PRICES = {row[0].replace('`', ''): row[1:] for row in _rows('| what | an hour | spot | source |')}
_WORK = _rows('| work | rate | time | cost |')


def _section(anchor: str) -> str:
    """Returns a section of docs/performance.md, by its anchor."""
    parts = re.split(r'^#+ (.+)\n', _CITED, flags=re.MULTILINE)
    anchors = [re.sub(r'[^\w -]', '', heading.lower()).replace(' ', '-') for heading in parts[1::2]]
    return parts[2::2][anchors.index(anchor)]


@pytest.mark.parametrize('row', _WORK, ids=lambda row: row[0])
def test_a_figure_that_is_cited_is_on_the_cited_page(row):
    cited = re.findall(r'\(performance\.md#([\w-]+)\)', row[1])
    assert cited or '**not measured**' in row[1]
    for anchor in cited:
        figures = _FIGURE.findall(row[1].replace(anchor, ''))
        missing = set(figures) - set(_FIGURE.findall(_section(anchor)))
        assert figures and not missing, missing


def _price_of_hour(work: str, kind: int) -> float | None:
    """Returns what an hour of the machines of a row costs: the list price (0) or that of spot machines (1)."""
    for name, (machine, count) in _MACHINES.items():
        if name in work:
            return count * float(next(row for what, row in _PRICES.items() if machine in what)[kind])
    workers = re.search(r'(\d+) workers of (\d+) vCPU and (\d+) GB', work)
    if workers is None or kind:
        return None
    count, processors, gigabytes = map(int, workers.groups())
    of_processor, of_gigabyte = map(float, next(row for what, row in _PRICES.items() if 'vCPU' in what)[0].split('/'))
    return count * (processors * of_processor + gigabytes * of_gigabyte)


@pytest.mark.parametrize('row', [row for row in _WORK if re.match(r'\d', row[2])], ids=lambda row: row[0])
def test_a_cost_is_the_time_at_the_price_of_the_page(row):
    number, unit = re.match(r'([\d.]+) (min|h)', row[2]).groups()
    hours = float(number) * _MINUTES[unit] / 60
    for kind, cost in enumerate(re.findall(r'\d+\.\d+', row[3])):
        price = _price_of_hour(row[0], kind)
        assert price is not None
        assert float(cost) == pytest.approx(hours * price, rel=0.03)  # both are rounded
