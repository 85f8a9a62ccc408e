import pytest

from beam_pipelines.errors import UsageError
from trainer.training.tpu.chips import CHIPS, parse_topology


@pytest.mark.parametrize(
    ('name', 'chip', 'chips'), [('v5e:2x2', 'v5e', 4), ('v6e:1x1', 'v6e', 1), ('v5e:16x16', 'v5e', 256)]
)
def test_topology_names_its_chip_and_counts_them(name, chip, chips):
    topology = parse_topology(name)
    assert (topology.name, topology.chip, topology.chips) == (name, CHIPS[chip], chips)


@pytest.mark.parametrize(
    'name', ['', 'v5e', 'v5e:', 'v5e:4', 'v5e:0x2', 'v5e:2x2x1', 'v5e-4', 'v9:2x2', 'V5E:2x2', 'v5e:2x2 ']
)
def test_topology_that_is_not_known_is_refused_with_an_example(name):
    with pytest.raises(UsageError) as raised:
        parse_topology(name)
    assert str(raised.value) == f'--topology {name!r}: expected v5e or v6e and the shape of the slice, such as v5e:2x2'


def test_slice_larger_than_there_are_is_refused():
    with pytest.raises(UsageError, match="^--topology 'v6e:16x32': a slice has at most 256 chips$"):
        parse_topology('v6e:16x32')
