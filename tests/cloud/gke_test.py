"""The JobSets by the schemas of Kubernetes and JobSet, as the package kubeflow-trainer-api has them."""

import copy
from typing import Any

import pytest
import yaml

from tests.cloud.train_commands import assert_is_sero_train
from tests.support.misspelt import misspelt_fields
from tests.support.places import ROOT

models = pytest.importorskip(
    'kubeflow_trainer_api.models', reason='kubeflow-trainer-api, of the extra dev, is not here'
)

_FILES = sorted((ROOT / 'cloud' / 'gke').iterdir())

_RESOURCES = {'cpu', 'ephemeral-storage', 'google.com/tpu', 'memory', 'nvidia.com/gpu'}
# Keys of fields that Kubernetes leaves to others, read on 2026-11-28: of nodes, resources and JobSet in published
# manifests for GKE, of the volume in pkg/csi_driver/utils.go of github.com/GoogleCloudPlatform/gcs-fuse-csi-driver.
_KEYS = {
    'annotations': {'alpha.jobset.sigs.k8s.io/exclusive-topology', 'gke-gcsfuse/volumes'},
    'nodeSelector': {
        'cloud.google.com/gke-accelerator',
        'cloud.google.com/gke-spot',
        'cloud.google.com/gke-tpu-accelerator',
        'cloud.google.com/gke-tpu-topology',
    },
    'requests': _RESOURCES,
    'limits': _RESOURCES,
    'volumeAttributes': {
        'bucketName',
        'disableMetrics',
        'fileCacheCapacity',
        'fileCacheForRangeRead',
        'gcsfuseLoggingSeverity',
        'hostNetworkPodKSA',
        'identityProvider',
        'metadataCacheTTLSeconds',
        'metadataStatCacheCapacity',
        'metadataTypeCacheCapacity',
        'mountOptions',
        'skipCSIBucketAccessCheck',
    },
}
# Flags of gcsfuse that concern files and folders: cfg/params.yaml of github.com/GoogleCloudPlatform/gcsfuse, same day.
_MOUNT_OPTIONS = {'dir-mode', 'file-mode', 'gid', 'implicit-dirs', 'only-dir', 'uid'}


def _parse(document: dict) -> Any:
    """Returns a JobSet as its API server reads one strictly (kubectl's default); ValueError names an unknown field.

    So it does for keys that the server takes as they are, and what serves them does not know.
    """
    jobset = models.JobsetV1alpha2JobSet.from_dict(document)
    _check_nothing_lost(document, jobset.to_dict(), jobset.kind or 'JobSet')
    _check_keys(document)
    return jobset


def _check_keys(value: Any) -> None:
    if isinstance(value, list):
        for item in value:
            _check_keys(item)
    elif isinstance(value, dict):
        for field, item in value.items():
            unknown = item.keys() - _KEYS[field] if field in _KEYS else set()
            if field == 'mountOptions':
                unknown = {option.partition('=')[0] for option in item.split(',')} - _MOUNT_OPTIONS
            if unknown:
                raise ValueError(f'{field}: unknown {", ".join(sorted(unknown))}')
            _check_keys(item)


def _check_nothing_lost(given: Any, read: Any, path: str) -> None:
    if isinstance(given, dict):
        for key, value in given.items():
            if not isinstance(read, dict) or key not in read:
                raise ValueError(f'unknown field {path}.{key}')
            _check_nothing_lost(value, read[key], f'{path}.{key}')
    elif isinstance(given, list):
        for number, (value, value_read) in enumerate(zip(given, read, strict=True)):
            _check_nothing_lost(value, value_read, f'{path}[{number}]')
    elif given != read:
        raise ValueError(f'{path}: {given!r} is read as {read!r}')


def _documents() -> list:
    return [pytest.param(yaml.safe_load(path.read_text()), id=path.stem) for path in _FILES]


@pytest.mark.parametrize('document', _documents())
def test_a_jobset_is_kubernetes_and_trains(document):
    jobset = _parse(document)
    assert (jobset.api_version, jobset.kind) == ('jobset.x-k8s.io/v1alpha2', 'JobSet')
    (job,) = jobset.spec.replicated_jobs
    spec = job.template.spec
    assert spec.parallelism == spec.completions
    (container,) = spec.template.spec.containers
    assert_is_sero_train([*container.command, *container.args])
    mounts = {mount.name: mount.mount_path for mount in container.volume_mounts}
    assert set(mounts) == {volume.name for volume in spec.template.spec.volumes}
    assert f'--workdir={mounts["bucket"]}/runs/one' in container.args
    for variable in container.env or []:
        if variable.name == 'JAX_NUM_PROCESSES':
            assert variable.value == str(spec.parallelism)
        if variable.name == 'JAX_COORDINATOR_ADDRESS':
            # As JobSet names its pods: JOBSET-REPLICATEDJOB-JOB-POD, in the subdomain JOBSET.
            assert variable.value.startswith(f'{jobset.metadata.name}-{job.name}-0-0.{jobset.metadata.name}:')


def test_the_slice_has_as_many_chips_as_its_hosts_ask_for():
    document = yaml.safe_load((ROOT / 'cloud' / 'gke' / 'tpu_slice.yaml').read_text())
    spec = document['spec']['replicatedJobs'][0]['template']['spec']
    pod = spec['template']['spec']
    across, along = map(int, pod['nodeSelector']['cloud.google.com/gke-tpu-topology'].split('x'))
    assert across * along == spec['parallelism'] * pod['containers'][0]['resources']['limits']['google.com/tpu']


def _volume_attributes(document: dict) -> dict[str, str]:
    (volume,) = document['spec']['replicatedJobs'][0]['template']['spec']['template']['spec']['volumes']
    return volume['csi']['volumeAttributes']


@pytest.mark.parametrize('document', _documents())
def test_a_misspelt_option_of_the_mount_is_refused(document):
    options = _volume_attributes(document)['mountOptions'].split(',')
    for number, option in enumerate(options):
        name, separator, value = option.partition('=')
        changed = [*options[:number], f'{name}x{separator}{value}', *options[number + 1 :]]
        with pytest.raises(ValueError):
            _parse_with_mount(document, ','.join(changed))
            pytest.fail(f'{name} may be misspelt')


def _parse_with_mount(document: dict, options: str) -> None:
    changed = copy.deepcopy(document)
    _volume_attributes(changed)['mountOptions'] = options
    _parse(changed)


@pytest.mark.parametrize('document', _documents())
def test_a_misspelt_field_is_refused(document):
    tried = 0
    for field, changed in misspelt_fields(document):
        tried += 1
        with pytest.raises(ValueError):  # pydantic's errors are of this kind too
            _parse(changed)
            pytest.fail(f'{field} may be misspelt')
    assert tried > 30
