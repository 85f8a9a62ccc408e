"""The custom jobs by Vertex AI's own messages, in Google's client library."""

import pytest
import yaml

from tests.cloud.train_commands import assert_is_sero_train
from tests.support.misspelt import misspelt_fields
from tests.support.places import ROOT
from tests.support.requirements import needs_gcp

pytestmark = [pytest.mark.gcp, needs_gcp]

_FILES = sorted((ROOT / 'cloud' / 'vertex').iterdir())


def _parse(document: dict):
    """Returns a job as gcloud reads one: a CustomJobSpec, by the names of its fields."""
    from google.cloud.aiplatform_v1 import CustomJobSpec
    from google.protobuf import json_format

    return json_format.ParseDict(document, CustomJobSpec.pb()())


@pytest.mark.parametrize('path', _FILES, ids=lambda path: path.stem)
def test_a_job_is_vertex_ais_and_trains(path):
    spec = _parse(yaml.safe_load(path.read_text()))
    assert '_' not in ''.join(field for field, _ in misspelt_fields(yaml.safe_load(path.read_text())))  # gcloud's rule
    assert spec.base_output_directory.output_uri_prefix.startswith('gs://')
    for pool in spec.worker_pool_specs:
        assert_is_sero_train([*pool.container_spec.command, *pool.container_spec.args])
        target = pool.container_spec.image_uri.rpartition('-')[2]
        machine = pool.machine_spec
        assert target == ('tpu' if machine.tpu_topology else 'cuda' if machine.accelerator_count else 'cpu')


@pytest.mark.parametrize('path', _FILES, ids=lambda path: path.stem)
def test_a_misspelt_field_is_refused(path):
    from google.protobuf.json_format import ParseError

    document = yaml.safe_load(path.read_text())
    tried = 0
    for field, changed in misspelt_fields(document):
        tried += 1
        with pytest.raises(ParseError):
            _parse(changed)
            pytest.fail(f'{field} may be misspelt')
    assert tried > 10


@pytest.mark.parametrize('value', ['NVIDIA_L5', 'nvidia_l4'])
def test_an_accelerator_that_vertex_ai_does_not_have_is_refused(value):
    from google.protobuf.json_format import ParseError

    document = yaml.safe_load((ROOT / 'cloud' / 'vertex' / 'gpu.yaml').read_text())
    document['workerPoolSpecs'][0]['machineSpec']['acceleratorType'] = value
    with pytest.raises(ParseError):
        _parse(document)
