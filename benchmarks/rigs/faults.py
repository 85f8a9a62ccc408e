"""The ways in which a rig spoils a recording."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from scipy import signal

from beam_pipelines.domain import SAMPLING_RATE_HZ

_ARTEFACT_PA = 400.0
_ARTEFACT_DECAY_SAMPLES = 12
_ARTEFACT_SAMPLES = 120


@dataclasses.dataclass(frozen=True)
class Fault:
    """A fault of a rig.

    Attributes
    ----------
    name : as in the table.
    apply : (n,) float32 current in pA -> what the rig records, in ``unit``.
    unit : the unit in the file.
    can_be_undone : whether the cells must be classified as if the rig were sound.
    reasons : the reasons for a rejection that name the fault.
    polarity : -1 if spikes point upward in the file.
    """

    name: str
    apply: Callable[[np.ndarray], np.ndarray]
    unit: str = 'pA'
    can_be_undone: bool = True
    reasons: tuple[str, ...] = ()
    polarity: int = 1


def _seconds(current_pa: np.ndarray) -> np.ndarray:
    return np.arange(len(current_pa)) / SAMPLING_RATE_HZ


def _offset(offset_pa: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda current_pa: current_pa + offset_pa


def _drift(current_pa: np.ndarray) -> np.ndarray:
    return current_pa - 100 * np.linspace(0, 1, len(current_pa))


def _wander(current_pa: np.ndarray) -> np.ndarray:
    t = _seconds(current_pa)
    return current_pa + 40 * np.sin(2 * np.pi * 0.31 * t) + 20 * np.sin(2 * np.pi * 1.3 * t + 1)


def _hum(amplitude_pa: float, frequency_hz: float) -> Callable[[np.ndarray], np.ndarray]:
    def add(current_pa: np.ndarray) -> np.ndarray:
        phase = 2 * np.pi * frequency_hz * _seconds(current_pa)
        return current_pa + amplitude_pa * (np.sin(phase) + 0.15 * np.sin(3 * phase + 1))

    return add


def _factor(factor: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda current_pa: factor * current_pa


def _artefacts(current_pa: np.ndarray) -> np.ndarray:
    """Adds a stimulus artefact once a second: a jump of 400 pA that decays in 0.3 ms and overshoots."""
    sample = np.arange(_ARTEFACT_SAMPLES)
    shape = -_ARTEFACT_PA * np.exp(-sample / _ARTEFACT_DECAY_SAMPLES) * np.cos(sample / 20)
    current_pa = current_pa.copy()
    for start in range(SAMPLING_RATE_HZ // 2, len(current_pa) - _ARTEFACT_SAMPLES, SAMPLING_RATE_HZ):
        current_pa[start : start + _ARTEFACT_SAMPLES] += shape
    return current_pa


def _low_pass(corner_hz: float) -> Callable[[np.ndarray], np.ndarray]:
    bessel = signal.bessel(4, corner_hz, fs=SAMPLING_RATE_HZ, output='sos', norm='mag')
    return lambda current_pa: signal.sosfilt(bessel, current_pa)


def _saturated(current_pa: np.ndarray) -> np.ndarray:
    return np.maximum(current_pa, -70)


def _amplifier_off(current_pa: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 1, len(current_pa))


FAULTS = (
    Fault('none', lambda current_pa: current_pa),
    Fault('holding current, -40 pA', _offset(-40)),
    Fault('holding current, -60 pA', _offset(-60)),
    Fault('baseline at +30 pA', _offset(30)),
    Fault('baseline at +60 pA', _offset(60)),
    Fault('drift to -100 pA', _drift),
    Fault('slow wander of 60 pA', _wander),
    Fault('50 Hz hum of 20 pA', _hum(20, 49.98)),
    Fault('50 Hz hum of 40 pA', _hum(40, 50.03)),
    Fault('60 Hz hum of 40 pA, -40 pA', lambda current_pa: _offset(-40)(_hum(40, 60.02)(current_pa))),
    Fault('inverted', _factor(-1), polarity=-1),
    Fault('inverted, gain 4', _factor(-4), polarity=-1, can_be_undone=False),
    Fault('gain 0.5', _factor(0.5), can_be_undone=False, reasons=('no_spikes',)),
    Fault('nA labelled pA', _factor(1e-3), can_be_undone=False, reasons=('suspicious_scale',)),
    Fault('fA labelled pA', _factor(1e3), can_be_undone=False, reasons=('suspicious_scale',)),
    Fault('in nA', _factor(1e-3), unit='nA'),
    Fault('in A', _factor(1e-12), unit='A'),
    Fault('in mA', _factor(1e-9), unit='mA'),
    Fault('a voltage, in mV', _factor(1), unit='mV', can_be_undone=False, reasons=('voltage',)),
    Fault('stimulus artefact once a second', _artefacts),
    Fault('saturated at -70 pA', _saturated, can_be_undone=False, reasons=('saturated',)),
    Fault('filter of 1.5 kHz', _low_pass(1_500), can_be_undone=False, reasons=('no_spikes',)),
    Fault('no cell', _amplifier_off, can_be_undone=False, reasons=('no_spikes',)),
)  # fmt: skip
