"""Where a run keeps its files: in one folder, or in those that Vertex AI names."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

from beam_pipelines.errors import UserError

# Vertex AI sets them for jobs that have a baseOutputDirectory.
MODEL_VARIABLE = 'AIP_MODEL_DIR'
_CHECKPOINT_VARIABLE = 'AIP_CHECKPOINT_DIR'
_TENSORBOARD_VARIABLE = 'AIP_TENSORBOARD_LOG_DIR'

_CHECKPOINTS_FOLDER = 'checkpoints'
_TENSORBOARD_FOLDER = 'tensorboard'
_BUCKET_SCHEME = 'gs://'
# Vertex AI mounts all buckets that the job may read.
_BUCKETS_MOUNT = '/gcs'


@dataclasses.dataclass(frozen=True)
class RunPlaces:
    """The folders of a run.

    Attributes
    ----------
    workdir : of the members, the models and all else.
    checkpoints : of the checkpoints; another run's would be resumed.
    tensorboard : of the event files.
    """

    workdir: str
    checkpoints: str
    tensorboard: str


def places_within(workdir: str, checkpoints: str | None = None, tensorboard: str | None = None) -> RunPlaces:
    """Returns the places of a run; those that are not given are in its folder."""
    return RunPlaces(
        workdir,
        checkpoints or os.path.join(workdir, _CHECKPOINTS_FOLDER),
        tensorboard or os.path.join(workdir, _TENSORBOARD_FOLDER),
    )


def places_of_job(environment: Mapping[str, str], mount: str = _BUCKETS_MOUNT) -> RunPlaces:
    """Returns the places that Vertex AI has named; what it has not named is within the folder of the model.

    Parameters
    ----------
    environment : variables, of which ``AIP_MODEL_DIR`` is set.
    mount : where the buckets are mounted.

    Raises
    ------
    UserError
        If a variable names a bucket that is not mounted.
    """
    variables = (MODEL_VARIABLE, _CHECKPOINT_VARIABLE, _TENSORBOARD_VARIABLE)
    return places_within(*(_mounted(environment, variable, mount) for variable in variables))


def _mounted(environment: Mapping[str, str], variable: str, mount: str) -> str:
    """Returns the folder that a variable names, below the mount if it is in a bucket; '' if it is not set."""
    place = environment.get(variable, '')
    if not place.startswith(_BUCKET_SCHEME):
        return place
    path = place.removeprefix(_BUCKET_SCHEME).rstrip('/')
    bucket = os.path.join(mount, path.partition('/')[0])
    if not os.path.isdir(bucket):
        raise UserError(f'{variable}={place}: the bucket is not mounted at {bucket}; give --workdir')
    return os.path.join(mount, path)
