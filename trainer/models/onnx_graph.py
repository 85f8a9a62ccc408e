"""The members of an ensemble as one ONNX graph: their scores, and the gradient that the saliency needs.

ONNX Runtime has no gradients, so the backward pass is part of the graph. The layers are those of ``architectures``;
time is the last axis, because ONNX Runtime's convolutions are fastest along it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from beam_pipelines import domain
from trainer.models.onnx_protobuf import Node, encode_model

INPUT, SCORES, GRADIENT = 'waveform', 'scores', 'log_odds_gradient'

# Of the graph. A file of another version cannot be read: the graph of each file is compared with the one built here.
VERSION = 1

_FILTERS = (32, 64)
_CLASSES = len(domain.LABEL_NAMES)
_NORM_EPSILON = 1e-3  # Keras's default
# As in the saliency: bounds the log-odds at 14 and keeps them smooth.
LEAST_SCORE = 1e-6


@dataclasses.dataclass(frozen=True)
class MemberWeights:
    """The weights of one member, float32, as the graph has them.

    Attributes
    ----------
    scale, shift : (160,), of the normalised spike.
    kernel_1, bias_1 : (32, 1, 1, k) and (32,), of the first convolution.
    kernel_2, bias_2 : (64, 32, 1, k) and (64,), of the second.
    dense, bias_3 : (64 * p, 2) and (2,), where p is the length after both convolutions and poolings.
    """

    scale: np.ndarray
    shift: np.ndarray
    kernel_1: np.ndarray
    bias_1: np.ndarray
    kernel_2: np.ndarray
    bias_2: np.ndarray
    dense: np.ndarray
    bias_3: np.ndarray


WEIGHTS = tuple(field.name for field in dataclasses.fields(MemberWeights))


def weight_shapes(kernel_size: int) -> dict[str, tuple[int, ...]]:
    """Returns the shape of each of a member's weights."""
    first, second = _FILTERS
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(('scale', 'shift'), (domain.SPIKE_SAMPLES,))
    return shapes | {
        'kernel_1': (first, 1, 1, kernel_size),
        'bias_1': (first,),
        'kernel_2': (second, first, 1, kernel_size),
        'bias_2': (second,),
        'dense': (second * _lengths(kernel_size)[-1], _CLASSES),
        'bias_3': (_CLASSES,),
    }


def build_graph(
    architecture: str, members: Mapping[str, MemberWeights], outputs: Sequence[str] = (SCORES, GRADIENT)
) -> bytes:
    """Builds the graph of an ensemble; the same bytes for the same arguments.

    The input is (n, 160) float32 in pA. The outputs are

    - ``scores``, (n, m, 2): of each of m members the scores of SER and NSER, 0..1;
    - ``log_odds_gradient``, (n, 160) per pA: the gradient of ``log(mean SER score / mean NSER score)``.

    Parameters
    ----------
    architecture : ``cnn`` or ``published``.
    members : by their names, in the order of the scores.
    outputs : those that are wanted; scores alone are computed faster.
    """
    graph = _Graph()
    spike = _normalise(graph)
    passes = [
        _forward(graph, spike, _named(graph, name, weights), architecture, GRADIENT in outputs)
        for name, weights in members.items()
    ]
    scores = graph.add('Concat', *(graph.reshape(of.scores, -1, 1, _CLASSES) for of in passes), axis=1)
    shapes: dict[str, Sequence[int | str]] = {}
    if SCORES in outputs:
        graph.add('Identity', scores, output=SCORES)
        shapes[SCORES] = ('n', len(members), _CLASSES)
    if GRADIENT in outputs:
        _add_gradient(graph, spike, scores, passes)
        shapes[GRADIENT] = ('n', domain.SPIKE_SAMPLES)
    inputs = {INPUT: ('n', domain.SPIKE_SAMPLES)}
    return encode_model(graph.nodes, graph.initializers, inputs, shapes, VERSION)


class _Graph:
    """A graph that grows node by node; values are known by their names."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.initializers: dict[str, np.ndarray] = {}

    def add(self, operator: str, *inputs: str, output: str = '', **attributes: int | Sequence[int]) -> str:
        """Adds an operation of one output and returns the name of that."""
        output = output or f'{operator.lower()}_{len(self.nodes)}'
        self.nodes.append(Node(operator, inputs, (output,), attributes))
        return output

    def add_pooling(self, value: str, with_indices: bool) -> tuple[str, str]:
        """Halves the length; returns the largest of two neighbours, and where they were if that is wanted."""
        names = tuple(f'{output}_{len(self.nodes)}' for output in ('pooled', 'index'))
        outputs = names if with_indices else names[:1]
        self.nodes.append(Node('MaxPool', (value,), outputs, {'kernel_shape': [1, 2], 'strides': [1, 2]}))
        return names[0], names[1]

    def constant(self, name: str, value: np.ndarray | float | Sequence[int]) -> str:
        """Adds a constant, float32 or int64, and returns its name; one of the same name must have the same value."""
        self.initializers[name] = value if isinstance(value, np.ndarray) else _as_array(value)
        return name

    def reshape(self, value: str, *shape: int) -> str:
        return self.add('Reshape', value, self.constant(f'shape_{"_".join(map(str, shape))}', shape))

    def unpool(self, value: str, index: str, pooled: str) -> str:
        """Puts each value where the largest of two neighbours was before the pooling, and zeros elsewhere."""
        unpooled = self.add('MaxUnpool', value, index, self.add('Shape', pooled), kernel_shape=[1, 2], strides=[1, 2])
        is_positive = self.add('Greater', pooled, self.constant('zero', 0.0))  # the derivative of relu
        return self.add('Mul', unpooled, self.add('Cast', is_positive, to=1))


@dataclasses.dataclass(frozen=True)
class _Spike:
    """Names of the normalised spikes, (n, 160), and what each was divided by, (n, 1), as its reciprocal."""

    normalised: str
    reciprocal: str


@dataclasses.dataclass(frozen=True)
class _Pass:
    """Names of what one member's forward pass leaves for its backward pass; the indices are of the poolings."""

    weights: Mapping[str, str]
    scores: str
    relu_1: str
    index_1: str
    relu_2: str
    index_2: str
    pooled_2: str
    time: str | None


def _normalise(graph: _Graph) -> _Spike:
    centred = graph.add('Sub', INPUT, _mean(graph, INPUT))
    variance = _mean(graph, graph.add('Mul', centred, centred))
    deviation = graph.add('Sqrt', graph.add('Add', variance, graph.constant('epsilon', _NORM_EPSILON)))
    reciprocal = graph.add('Reciprocal', deviation)
    return _Spike(graph.add('Mul', centred, reciprocal), reciprocal)


def _forward(graph: _Graph, spike: _Spike, weights: Mapping[str, str], architecture: str, with_indices: bool) -> _Pass:
    relu_1, index_1, relu_2, index_2, pooled_2 = _convolve(graph, spike.normalised, weights, with_indices)
    features, time = pooled_2, None
    if architecture == 'published':
        # The last pooling is over both columns. The time column is the same in every spike: ONNX Runtime computes its
        # features when it loads the graph.
        column = graph.constant('normalised_time', _normalised_time())
        *_, time = _convolve(graph, column, weights, with_indices=False)
        features = graph.add('Max', pooled_2, time)
    flat = graph.add('Flatten', features)
    scores = graph.add('Sigmoid', graph.add('Gemm', flat, weights['dense'], weights['bias_3']))
    return _Pass(weights, scores, relu_1, index_1, relu_2, index_2, pooled_2, time)


def _convolve(
    graph: _Graph, normalised: str, weights: Mapping[str, str], with_indices: bool
) -> tuple[str, str, str, str, str]:
    scaled = graph.add('Add', graph.add('Mul', normalised, weights['scale']), weights['shift'])
    samples = graph.reshape(scaled, -1, 1, 1, domain.SPIKE_SAMPLES)
    relu_1 = graph.add('Relu', graph.add('Conv', samples, weights['kernel_1'], weights['bias_1']))
    pooled_1, index_1 = graph.add_pooling(relu_1, with_indices)
    relu_2 = graph.add('Relu', graph.add('Conv', pooled_1, weights['kernel_2'], weights['bias_2']))
    pooled_2, index_2 = graph.add_pooling(relu_2, with_indices)
    return relu_1, index_1, relu_2, index_2, pooled_2


def _add_gradient(graph: _Graph, spike: _Spike, scores: str, passes: Sequence[_Pass]) -> None:
    mean = graph.add('ReduceMean', scores, axes=[1], keepdims=0)
    bounded = graph.add('Add', mean, graph.constant('least_score', LEAST_SCORE))
    # The log-odds are of SER: positive for the first class, negative for the second.
    sign = graph.constant('sign', np.array([1, -1], np.float32) / np.float32(len(passes)))
    of_scores = graph.add('Div', sign, bounded)
    total = graph.add('Sum', *(_backward(graph, of_scores, of_member) for of_member in passes))
    along = _mean(graph, graph.add('Mul', total, spike.normalised))
    removed = graph.add('Add', graph.add('Mul', spike.normalised, along), _mean(graph, total))
    graph.add('Mul', graph.add('Sub', total, removed), spike.reciprocal, output=GRADIENT)


def _mean(graph: _Graph, value: str) -> str:
    return graph.add('ReduceMean', value, axes=[1], keepdims=1)


def _backward(graph: _Graph, of_scores: str, member: _Pass) -> str:
    """Returns the gradient by the normalised spike, (n, 160)."""
    slope = graph.add('Mul', member.scores, graph.add('Sub', graph.constant('one', 1.0), member.scores))
    flat = graph.add('Gemm', graph.add('Mul', of_scores, slope), member.weights['dense'], transB=1)
    of_features = graph.reshape(flat, -1, _FILTERS[1], 1, _length_of(graph, member))
    if member.time:
        is_larger = graph.add('Greater', member.pooled_2, member.time)
        of_features = graph.add('Mul', of_features, graph.add('Cast', is_larger, to=1))
    of_relu_2 = graph.unpool(of_features, member.index_2, member.relu_2)
    of_pooled_1 = graph.add('ConvTranspose', of_relu_2, member.weights['kernel_2'])
    of_relu_1 = graph.unpool(of_pooled_1, member.index_1, member.relu_1)
    of_samples = graph.add('ConvTranspose', of_relu_1, member.weights['kernel_1'])
    return graph.add('Mul', graph.reshape(of_samples, -1, domain.SPIKE_SAMPLES), member.weights['scale'])


def _length_of(graph: _Graph, member: _Pass) -> int:
    return len(graph.initializers[member.weights['dense']]) // _FILTERS[1]


def _named(graph: _Graph, member: str, weights: MemberWeights) -> dict[str, str]:
    return {name: graph.constant(f'{member}/{name}', getattr(weights, name)) for name in WEIGHTS}


def _lengths(kernel_size: int) -> tuple[int, int]:
    """Returns the lengths of a spike after each pooling."""
    first = (domain.SPIKE_SAMPLES - kernel_size + 1) // 2
    return first, (first - kernel_size + 1) // 2


def _normalised_time() -> np.ndarray:
    """Returns the normalised time column, (1, 160) float32, by exact formulas: the same bytes on every machine."""
    samples, rate_hz = domain.SPIKE_SAMPLES, domain.SAMPLING_RATE_HZ
    deviation_s = math.sqrt((samples**2 - 1) / 12 / rate_hz**2 + _NORM_EPSILON)
    centred_s = (np.arange(samples) - (samples - 1) / 2) / rate_hz
    return (centred_s / deviation_s).astype(np.float32)[np.newaxis]


def _as_array(value: float | Sequence[int]) -> np.ndarray:
    return np.array(value, np.float32 if isinstance(value, float) else np.int64)
