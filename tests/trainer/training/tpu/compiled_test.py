import pytest

from trainer.training.tpu.chips import parse_topology
from trainer.training.tpu.compiled import Collectives, CompiledStep, find_collectives

_HLO = """
  %fusion.20 = bf16[20,1,32]{2,1,0:T(2,128)(2,1)S(1)} fusion(%all-reduce.1), kind=kLoop
  %all-reduce.9 = (f32[]{:T(128)}, f32[160]{0:T(256)S(1)}, bf16[20,32,64]{2,1,0:T(8,128)(2,1)}) all-reduce(%a, %b)
  %all-reduce-start.2 = u8[3,5]{1,0} all-reduce-start(%d), channel_id=2
  %all-reduce-done.2 = u8[3,5]{1,0} all-reduce-done(%all-reduce-start.2)
  ROOT %all-gather.1 = pred[8]{0} all-gather(%e), dimensions={0}
"""


def test_operations_between_chips_are_counted_once_with_the_bytes_of_their_results():
    assert find_collectives(_HLO) == {
        'all-reduce': Collectives(2, 4 + 160 * 4 + 20 * 32 * 64 * 2 + 15),
        'all-gather': Collectives(1, 8),
    }


def test_chips_limit_a_step_by_arithmetic_memory_and_links():
    step = CompiledStep(
        197e12, 2 * 819e9, 3, 4, {'all-reduce': Collectives(1, 10**9), 'all-gather': Collectives(1, 10**9)}
    )
    assert step.memory_bytes == 7
    # Of 2 GB, a chip of four sends three quarters twice and receives as much: 6 GB at 400 GB/s.
    expected = {'arithmetic': 1, 'memory': 2, 'links': 0.015}
    assert step.seconds_at_peak(parse_topology('v5e:2x2')) == pytest.approx(expected)
    assert step.seconds_at_peak(parse_topology('v5e:1x1'))['links'] == 0
