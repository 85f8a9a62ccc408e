"""Spikes of conductance-based model neurons, as a loose patch records them: for ``benchmarks.other_laboratory``.

Nothing here is shared with ``beam_pipelines.simulation``, whose spikes are sums of bell curves.

One compartment has the sodium, delayed potassium, A and leak currents of Connor, Walter and McKown (1977, Biophysical
Journal 18, 81-102), who extended Hodgkin and Huxley (1952, Journal of Physiology 117, 500-544) by the A current of
Connor and Stevens (1971, Journal of Physiology 213, 31-53), and a potassium current of afterhyperpolarisation. The
equations are as in Dayan and Abbott, Theoretical Neuroscience (2001), chapter 6.

The classes differ in how fast a spike repolarises, how large the A current is, and how deep and long the
afterhyperpolarisation is. The values are invented so that the classes overlap a little, by the nearest centroid on mean
spikes without noise alone, and so that every drive gives a spike. They say nothing about real neurons.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

RATE_HZ = 120_000
SECONDS = 0.016  # how much of a spike is integrated; the drive begins after 1.5 ms

# The equations are for 18 degrees C; a cool slice is somewhat faster.
_WARMTH = 1.3
_E_NA, _E_K, _E_A, _E_LEAK, _E_DRIVE = 55.0, -72.0, -75.0, -17.0, 0.0  # mV
_G_LEAK = 0.3  # mS/cm2; the capacitance is 1 uF/cm2
_REST_MV, _REST_SD_MV = -67.0, 0.6
_AHP_LEFT_MV = 1.2  # for each mS/cm2 of afterhyperpolarisation that is left
_DRIVE_BEGINS_MS, _DRIVE_TAU_MS, _DRIVE_SD = 1.5, 0.5, 0.06
_FADE_SAMPLES = round(0.003 * RATE_HZ)
_SHARE_ATYPICAL = 0.06


@dataclasses.dataclass(frozen=True)
class ClassTraits:
    """Medians of a class over its cells; each cell's value is lognormal around them, see `draw_neuron`.

    Attributes
    ----------
    repolarisation : how fast sodium inactivates and the delayed potassium current activates, relative to the equations.
    g_a, g_ahp : largest conductance of the A current and of the afterhyperpolarisation, mS/cm2.
    ahp_ms : how slowly the afterhyperpolarisation decays.
    """

    repolarisation: float
    g_a: float
    g_ahp: float
    ahp_ms: float


CLASS_TRAITS = {
    'SER': ClassTraits(repolarisation=0.6, g_a=45.0, g_ahp=4.0, ahp_ms=90.0),
    'NSER': ClassTraits(repolarisation=1.35, g_a=35.0, g_ahp=2.0, ahp_ms=40.0),
}


@dataclasses.dataclass(frozen=True)
class Neuron:
    """A model neuron and its patch.

    Attributes
    ----------
    repolarisation, g_a, g_ahp, ahp_ms : see `ClassTraits`.
    g_na, g_k : largest conductances, mS/cm2.
    drive : largest conductance of the synaptic drive of a spike, mS/cm2.
    patch_leak : share of the membrane potential in the current: mS/cm2 that leak through the patch.
    patch_ions : density of channels under the pipette, as a share of that of the cell.
    """

    repolarisation: float
    g_a: float
    g_ahp: float
    ahp_ms: float
    g_na: float
    g_k: float
    drive: float
    patch_leak: float
    patch_ions: float


def draw_neuron(label_name: str, rng: np.random.Generator) -> Neuron:
    """Draws a neuron of a class; a few repolarise at a rate between those of the classes."""
    traits = CLASS_TRAITS[label_name]
    repolarisation = traits.repolarisation
    if rng.random() < _SHARE_ATYPICAL:
        repolarisation = float(np.exp(np.mean([np.log(of.repolarisation) for of in CLASS_TRAITS.values()])))

    def around(median: float, log_sd: float) -> float:
        return float(median * np.exp(log_sd * np.clip(rng.standard_normal(), -2.5, 2.5)))

    return Neuron(
        repolarisation=around(repolarisation, 0.14),
        g_a=around(traits.g_a, 0.2),
        g_ahp=around(traits.g_ahp, 0.3),
        ahp_ms=around(traits.ahp_ms, 0.3),
        g_na=around(120.0, 0.12),
        g_k=around(20.0, 0.15),
        drive=around(2.6, 0.1),
        patch_leak=float(rng.uniform(0.0, 0.9)),
        patch_ions=float(rng.uniform(0.0, 0.25)),
    )


def patch_currents(neurons: Sequence[Neuron], interval_s: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Integrates the spikes of several neurons, each spike for itself, and returns the current through the patch.

    A spike begins at rest. The shorter the interval before it, the more of the last afterhyperpolarisation is left: the
    rest is more negative and the A current less inactivated.

    Parameters
    ----------
    neurons : the neurons and their patches.
    interval_s : (k,) float of each neuron, the interval before each of its spikes.
    rng : of the small differences between spikes.

    Returns
    -------
    (n, 1920) float32 at `RATE_HZ`, in uA/cm2, all spikes of the first neuron first; zero at both ends; a spike points
    downward.
    """
    neuron = _one_per_spike(neurons, [interval.size for interval in interval_s])
    intervals_ms = np.concatenate(interval_s) * 1e3
    rest_mv = _REST_MV - _AHP_LEFT_MV * neuron.g_ahp * np.exp(-intervals_ms / neuron.ahp_ms)
    rest_mv += _REST_SD_MV * _within_2_sd(intervals_ms.size, rng)
    drive = neuron.drive * (1 + _DRIVE_SD * _within_2_sd(intervals_ms.size, rng))
    time_ms = np.arange(round(SECONDS * RATE_HZ)) / RATE_HZ * 1e3
    after_ms = np.maximum(time_ms - _DRIVE_BEGINS_MS, 0) / _DRIVE_TAU_MS
    step_ms = 1e3 / RATE_HZ

    v = rest_mv.copy()
    gates = [steady for steady, _ in _gates(neuron, v)]
    ahp = np.zeros_like(v)
    hold = _currents(neuron, v, gates)[0]  # what keeps the neuron at rest
    current = np.empty((v.size, time_ms.size), np.float32)
    for step, share in enumerate(after_ms * np.exp(1 - after_ms)):
        ions, g, ge = _currents(neuron, v, gates)
        g = g + neuron.g_ahp * ahp + drive * share
        target_mv = (ge + neuron.g_ahp * ahp * _E_K + drive * share * _E_DRIVE + hold) / g
        # Exponential Euler: exact as long as the conductances are constant.
        next_v = target_mv + (v - target_mv) * np.exp(-g * step_ms)
        capacitive = (next_v - v) / step_ms
        current[:, step] = -capacitive - neuron.patch_leak * (v - rest_mv) - neuron.patch_ions * (ions - hold)
        gates = [
            steady + (gate - steady) * np.exp(-step_ms / tau_ms)
            for gate, (steady, tau_ms) in zip(gates, _gates(neuron, v), strict=True)
        ]
        ahp += step_ms * ((1 - ahp) / (1 + np.exp(-(v + 5) / 4)) - ahp / neuron.ahp_ms)
        v = next_v
    current -= current[:, :1]
    current[:, -_FADE_SAMPLES:] *= 0.5 + 0.5 * np.cos(np.pi * np.arange(1, _FADE_SAMPLES + 1) / _FADE_SAMPLES)
    return current


def _one_per_spike(neurons: Sequence[Neuron], n_spikes: Sequence[int]) -> Neuron:
    """Returns the parameters of the neuron that each spike is of: a `Neuron` of arrays."""
    table = np.array([dataclasses.astuple(neuron) for neuron in neurons])
    return Neuron(*np.repeat(table, n_spikes, axis=0).T)


def _currents(neuron: Neuron, v: np.ndarray, gates: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the ionic current in uA/cm2 (outward positive), the sum of g and the sum of g times its potential."""
    m, h, n, a, b = gates
    g_na, g_k, g_a = neuron.g_na * m**3 * h, neuron.g_k * n**4, neuron.g_a * a**3 * b
    g = g_na + g_k + g_a + _G_LEAK
    ge = g_na * _E_NA + g_k * _E_K + g_a * _E_A + _G_LEAK * _E_LEAK
    return g * v - ge, g, ge


def _gates(neuron: Neuron, v: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns the steady state and the time constant in ms of m, h, n, a and b."""
    m = _from_rates(0.38 * _linear_exponential(v + 29.7), 15.2 * np.exp(-0.0556 * (v + 54.7)))
    h = _from_rates(0.266 * np.exp(-0.05 * (v + 48)), 3.8 / (1 + np.exp(-0.1 * (v + 18))))
    n = _from_rates(0.02 * _linear_exponential(v + 45.7), 0.25 * np.exp(-0.0125 * (v + 55.7)))
    a_steady = np.cbrt(0.0761 * np.exp(0.0314 * (v + 94.22)) / (1 + np.exp(0.0346 * (v + 1.17))))
    a_tau_ms = 0.3632 + 1.158 / (1 + np.exp(0.0497 * (v + 55.96)))
    b_steady = (1 + np.exp(0.0688 * (v + 53.3))) ** -4.0
    b_tau_ms = 1.24 + 2.678 / (1 + np.exp(0.0624 * (v + 50)))
    slower = [(steady, tau_ms / neuron.repolarisation) for steady, tau_ms in (h, n)]
    return [(steady, tau_ms / _WARMTH) for steady, tau_ms in (m, *slower, (a_steady, a_tau_ms), (b_steady, b_tau_ms))]


def _from_rates(opening: np.ndarray, closing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return opening / (opening + closing), 1 / (opening + closing)


def _linear_exponential(v: np.ndarray) -> np.ndarray:
    """Returns ``v / (1 - exp(-v / 10))``; nothing is divided by zero, because no potential is exact to 1e-9 mV."""
    return v / -np.expm1(-v / 10)


def _within_2_sd(size: int, rng: np.random.Generator) -> np.ndarray:
    return np.clip(rng.standard_normal(size), -2, 2)
