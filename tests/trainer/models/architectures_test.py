import keras
import numpy as np
import pytest

from beam_pipelines.errors import UserError
from tests.support.spikes import make_spikes
from trainer.models.architectures import build_member


def count_parameters(layer: keras.Layer) -> int:
    return sum(int(np.prod(weight.shape)) for weight in layer.weights if weight.trainable)


def published_parameters(kernel_size: int) -> list[int]:
    """Counts layer normalization, two convolutions and the dense layer by hand."""
    after_first_pooling = (160 - kernel_size + 1) // 2
    after_second_pooling = (after_first_pooling - kernel_size + 1) // 2
    return [
        2 * 160,
        32 * kernel_size + 32,
        32 * 64 * kernel_size + 64,
        2 * 64 * after_second_pooling + 2,
    ]


@pytest.mark.parametrize('architecture', ['published', 'cnn'])
@pytest.mark.parametrize('kernel_size', range(1, 32))
def test_parameters_are_those_of_the_published_layers(architecture, kernel_size):
    layers = build_member(architecture, kernel_size).layers
    counts = [count for count in map(count_parameters, layers) if count]
    assert counts == published_parameters(kernel_size)


@pytest.mark.parametrize('architecture', ['published', 'cnn'])
def test_kernel_size_20_has_the_published_parameters(architecture):
    member = build_member(architecture, 20)
    assert [count for count in map(count_parameters, member.layers) if count] == [320, 672, 41_024, 3_202]
    assert sum(map(count_parameters, member.layers)) == 45_218


def test_published_layers_stand_in_the_published_order():
    layers = build_member('published', 20).layers
    assert [type(layer).__name__ for layer in layers] == [
        'LayerNormalization',
        'Conv2D',
        'MaxPooling2D',
        'Conv2D',
        'MaxPooling2D',
        'Flatten',
        'Dropout',
        'Dense',
    ]


def test_published_layers_have_the_published_settings():
    normalization, first, first_pooling, second, second_pooling, flatten, dropout, dense = build_member(
        'published', 20
    ).layers
    assert list(np.atleast_1d(normalization.axis)) == [1]
    assert (first.filters, first.kernel_size, first.activation.__name__, first.padding) == (
        32,
        (20, 1),
        'relu',
        'valid',
    )
    assert first_pooling.pool_size == (2, 1)
    assert (second.filters, second.kernel_size, second.activation.__name__, second.padding) == (
        64,
        (20, 1),
        'relu',
        'valid',
    )
    assert second_pooling.pool_size == (2, 2)
    assert flatten.output.shape == (None, 1600)
    assert dropout.rate == 0.5
    assert (dense.units, dense.activation.__name__) == (2, 'sigmoid')


@pytest.mark.parametrize(('architecture', 'input_shape'), [('published', (None, 160, 2, 1)), ('cnn', (None, 160))])
def test_input_shape(architecture, input_shape):
    assert build_member(architecture, 20).input_shape == input_shape


@pytest.mark.parametrize('architecture', ['published', 'cnn'])
def test_longest_kernel_leaves_one_sample(architecture):
    [flatten] = [layer for layer in build_member(architecture, 53).layers if isinstance(layer, keras.layers.Flatten)]
    assert flatten.output.shape == (None, 64)


def test_unknown_architecture_is_named():
    with pytest.raises(UserError, match=r"architecture 'transformer': expected one of cnn, published"):
        build_member('transformer', 20)


@pytest.mark.parametrize('architecture', ['published', 'cnn'])
@pytest.mark.parametrize('kernel_size', [54, 160, 0, -1])
def test_kernel_size_that_does_not_fit_is_named(architecture, kernel_size):
    with pytest.raises(UserError, match=rf'kernel_size {kernel_size}: must be 1\.\.53'):
        build_member(architecture, kernel_size)


@pytest.mark.parametrize('precision', ['float32', 'mixed_bfloat16', 'mixed_float16'])
def test_scores_are_float32_between_0_and_1(precision):
    waveform, _ = make_spikes(50)
    scores = np.asarray(build_member('cnn', 9, precision)(waveform))
    assert scores.dtype == np.float32
    assert scores.shape == (50, 2)
    assert np.all((scores > 0) & (scores < 1))
