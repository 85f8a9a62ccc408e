"""The Flex Template: its files by Dataflow's own messages, its parameters by the launcher that runs in its image."""

import json
import pathlib
import re
import subprocess
import sys

import pytest
from apache_beam.portability.api import beam_runner_api_pb2

from tests.integration.frozen_flags_test import flags_of
from tests.support.misspelt import misspelt_fields
from tests.support.places import ROOT
from tests.support.requirements import needs_gcp

pytestmark = [pytest.mark.gcp, needs_gcp]

_FOLDER = ROOT / 'cloud' / 'dataflow'
_METADATA = json.loads((_FOLDER / 'metadata.json').read_text())
_LAUNCH = json.loads((_FOLDER / 'launch.json').read_text())
_PARAMETERS = {parameter['name']: parameter for parameter in _METADATA['parameters']}
# Nobody waits for a job's exit status, its workers are Beam's, and one name is that of an earlier version.
_FLAGS_LEFT_OUT = {'allow_rejected', 'workers', 'masks_a_spike'}


def _parse(document, message: str):
    from google.cloud import dataflow_v1beta3
    from google.protobuf import json_format

    return json_format.ParseDict(document, getattr(dataflow_v1beta3, message).pb()())


def _accepts(name: str, value: str) -> bool:
    return all(re.fullmatch(regex, value) for regex in _PARAMETERS[name]['regexes'])


def test_the_metadata_are_dataflows():
    parsed = _parse(_METADATA, 'TemplateMetadata')
    assert [parameter.name for parameter in parsed.parameters] == list(_PARAMETERS)
    for parameter in parsed.parameters:
        assert parameter.label and parameter.help_text and parameter.regexes, parameter.name


def test_the_request_is_dataflows_and_fits_the_metadata():
    launch = _parse(_LAUNCH, 'LaunchFlexTemplateRequest').launch_parameter
    required = {name for name, parameter in _PARAMETERS.items() if not parameter.get('isOptional')}
    assert required <= set(launch.parameters) <= set(_PARAMETERS)
    for name, value in launch.parameters.items():
        assert _accepts(name, value.replace('BUCKET', 'bucket').replace('PROJECT/REPOSITORY', 'p/r')), name
    assert 'enable_lineage=true' in launch.environment.additional_experiments


@pytest.mark.parametrize(
    ('document', 'message', 'free'),
    [
        (_METADATA, 'TemplateMetadata', ()),
        (_LAUNCH, 'LaunchFlexTemplateRequest', ('parameters', 'additionalUserLabels')),
    ],
)
def test_a_misspelt_field_is_refused(document, message, free):
    from google.protobuf.json_format import ParseError

    tried = 0
    for path, changed in misspelt_fields(document, free):
        tried += 1
        with pytest.raises(ParseError):
            _parse(changed, message)
            pytest.fail(f'{path} may be misspelt')
    assert tried > 5


def test_the_metadata_name_each_flag_of_sero_build_with_its_default():
    own = flags_of('sero-build')
    assert set(own) - set(_PARAMETERS) == _FLAGS_LEFT_OUT
    assert set(_PARAMETERS) - set(own) == {'sdk_container_image'}
    for name, parameter in _PARAMETERS.items():
        default = parameter.get('defaultValue', '')
        assert default == own.get(name, ''), name
        assert not default or _accepts(name, default), name


@pytest.mark.parametrize(
    ('name', 'refused'),
    [
        ('recordings', 'recordings'),
        ('data_dir', '/data'),
        ('sdk_container_image', 'an image'),
        ('configs', 'original,synthetic_large'),
        ('configs', 'original, synthetic'),
        ('seed', '-1'),
        ('protocol', 'by_day'),
        ('overwrite', 'yes'),
        ('trigger_pa', '50'),
        ('masks_per_spike', '0,4'),
        ('weights', '0.31'),
        ('synthetic_examples', '1e6,1e6'),
    ],
)
def test_a_value_that_sero_build_would_refuse_is_refused_before_the_launch(name, refused):
    assert not _accepts(name, refused)


def _launch(folder: pathlib.Path, parameters: dict[str, object], **changes: str) -> subprocess.CompletedProcess:
    """Runs the launcher's file as the image does: parameters and Beam's options in one row, sorted by name."""
    options = {
        'runner': 'DataflowRunner',
        'project': 'p',
        'region': 'us-central1',
        'job_name': 'sero-build',
        'temp_location': folder,
        'staging_location': folder,
        'template_location': folder / 'job_object',
        'experiments': 'enable_lineage=true',
        'labels': '{"project": "sero-spikes"}',
        'machine_type': 'n2-standard-4',
        'max_num_workers': 20,
        'dataflow_endpoint': 'http://localhost:18555',  # nobody answers there, and nobody is asked
        **parameters,
        **changes,
    }
    arguments = [f'--{name}={value}' for name, value in sorted(options.items())]
    command = [sys.executable, _FOLDER / 'flex_main.py', '--no_auth', *arguments]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120, cwd=ROOT)


@pytest.fixture(scope='module')
def parameters(recordings_root, tmp_path_factory) -> dict[str, object]:
    """All parameters of the template that have a default, and those of a launch."""
    defaults = {name: value for name, parameter in _PARAMETERS.items() if (value := parameter.get('defaultValue'))}
    places = {'recordings': recordings_root, 'data_dir': tmp_path_factory.mktemp('data')}
    return defaults | _LAUNCH['launchParameter']['parameters'] | places | {'configs': 'original,synthetic_small'}


def test_the_launcher_stages_the_job_with_the_parameters_and_does_not_wait(parameters, tmp_path):
    result = _launch(tmp_path, parameters)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f'staged job sero-build as template {tmp_path}/job_object')
    environment = json.loads((tmp_path / 'job_object').read_text())['environment']
    (pool,) = environment['workerPools']
    assert pool['machineType'] == 'n2-standard-4'
    (container,) = pool['sdkHarnessContainerImages']
    assert container['containerImage'] == parameters['sdk_container_image']
    assert 'enable_lineage=true' in environment['sdkPipelineOptions']['options']['experiments']
    pipeline = beam_runner_api_pb2.Pipeline.FromString((tmp_path / 'pipeline.pb').read_bytes())
    names = {transform.unique_name for transform in pipeline.components.transforms.values()}
    assert {name for name in names if re.fullmatch('Build_[a-z_]+', name)} == {
        'Build_original',
        'Build_synthetic_small',
    }


@pytest.mark.parametrize(
    ('changes', 'line'),
    [
        ({'seed': 'one'}, 'flag --seed=one'),
        ({'colour': 'red'}, '--colour: Beam has no such option'),
        ({'region': 'us-central1-a'}, '--region=us-central1-a: us-central1-a is a zone of us-central1'),
    ],
)
def test_what_cannot_be_ends_before_anything_is_staged(parameters, tmp_path, changes, line):
    result = _launch(tmp_path, parameters, **changes)
    assert result.returncode in (1, 2)
    assert line in result.stderr.splitlines()[0]
    assert 'Traceback' not in result.stderr
    assert not list(tmp_path.iterdir())
