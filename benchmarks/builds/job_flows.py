"""What went through a finished Beam job: elements and bytes of each PCollection, and the time of each transform.

All of it comes from Beam: the job's description and the monitoring infos of its result.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Iterator

from apache_beam.metrics import monitoring_infos
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2, metrics_pb2

_GROUP_BY_KEY = common_urns.primitives.GROUP_BY_KEY.urn
_PAR_DO = common_urns.primitives.PAR_DO.urn
_INSIDE_CREATE = ('/Impulse', '/FlatMap(<lambda at core.py', '/MaybeReshuffle', '/Map(decode)')
_INSIDE_RESHUFFLE = ('/AddRandomKeys', '/ReshufflePerKey/', '/RemoveRandomKeys')


@dataclasses.dataclass(frozen=True)
class Flow:
    """What went through one PCollection.

    Attributes
    ----------
    made_by : name of the transform that it comes out of.
    elements : how many.
    mean_bytes, largest_bytes : size of an element as Beam encodes it; Beam samples large PCollections.
    shuffled : whether it goes into a GroupByKey, which is part of a Reshuffle.
    side_inputs : how many transforms read all of it as a side input.
    """

    made_by: str
    elements: int
    mean_bytes: float
    largest_bytes: int
    shuffled: bool
    side_inputs: int

    @property
    def total_bytes(self) -> float:
        return self.elements * self.mean_bytes

    @property
    def moved_bytes(self) -> float:
        """Bytes that leave a worker: shuffled, or handed to the readers of a side input."""
        return self.total_bytes * (self.shuffled + self.side_inputs)

    @property
    def is_internal(self) -> bool:
        """Whether it is inside a ``beam.Create`` or a ``beam.Reshuffle``, and not what that shuffles."""
        return not self.shuffled and any(part in self.made_by for part in _INSIDE_CREATE + _INSIDE_RESHUFFLE)


def flows_of(job: beam_runner_api_pb2.Pipeline, infos: Iterable[metrics_pb2.MonitoringInfo]) -> list[Flow]:
    """Returns what went through each PCollection of a job, in the order of its steps.

    Parameters
    ----------
    job : the job's description.
    infos : the monitoring infos of the job's result.
    """
    elements: collections.Counter[str] = collections.Counter()
    sizes = {}
    for info in infos:
        name = info.labels.get('PCOLLECTION')
        if info.urn == monitoring_infos.ELEMENT_COUNT_URN:
            elements[name] += monitoring_infos.extract_counter_value(info)
        elif info.urn == monitoring_infos.SAMPLED_BYTE_SIZE_URN:
            sizes[name] = monitoring_infos.extract_distribution(info)
    shuffled: set[str] = set()
    side_inputs: collections.Counter[str] = collections.Counter()
    for transform in job.components.transforms.values():
        if transform.spec.urn == _GROUP_BY_KEY:
            shuffled.update(transform.inputs.values())
        elif transform.spec.urn == _PAR_DO:
            payload = beam_runner_api_pb2.ParDoPayload.FromString(transform.spec.payload)
            side_inputs.update(transform.inputs[tag] for tag in payload.side_inputs)
    flows = []
    for transform in _steps(job):
        for tag, name in transform.outputs.items():
            count, total, _, largest = sizes[name] if elements[name] else (1, 0, 0, 0)
            made_by = transform.unique_name if len(transform.outputs) == 1 else f'{transform.unique_name} ({tag})'
            flows.append(Flow(made_by, elements[name], total / count, largest, name in shuffled, side_inputs[name]))
    return flows


def _steps(job: beam_runner_api_pb2.Pipeline) -> Iterator[beam_runner_api_pb2.PTransform]:
    """Yields the transforms that contain no others, in the order in which the job was built."""
    names = list(reversed(job.root_transform_ids))
    while names:
        transform = job.components.transforms[names.pop()]
        names.extend(reversed(transform.subtransforms))
        if not transform.subtransforms:
            yield transform


def seconds_of_transforms(infos: Iterable[metrics_pb2.MonitoringInfo]) -> dict[str, float]:
    """Returns the time spent in each transform by name, in s, summed over all workers; Beam samples it."""
    return {
        info.labels['PTRANSFORM']: monitoring_infos.extract_counter_value(info) / 1000
        for info in infos
        if info.urn == monitoring_infos.TOTAL_MSECS_URN
    }
