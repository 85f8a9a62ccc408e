"""The Dockerfile by a parser of Dockerfiles, hadolint's; nothing here builds it."""

import fnmatch
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from tests.support.places import ROOT

_DOCKERFILE = (ROOT / 'cloud' / 'Dockerfile').read_text()
_HADOLINT = shutil.which('hadolint', path=pathlib.Path(sys.executable).parent)
_TARGETS = ('cpu', 'cuda', 'tpu')
# Who reads the variables of the image: boot.go of Beam's container, the launcher of Flex Templates, pip (its options),
# TensorFlow, the dynamic linker and NVIDIA's container runtime; by their documentation, 2026-11-28.
_VARIABLES = {
    'FLEX_TEMPLATE_PYTHON_PY_FILE',
    'LD_LIBRARY_PATH',
    'NVIDIA_DRIVER_CAPABILITIES',
    'NVIDIA_VISIBLE_DEVICES',
    'PIP_DISABLE_PIP_VERSION_CHECK',
    'PIP_NO_CACHE_DIR',
    'RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT',
    'TF_CPP_MIN_LOG_LEVEL',
}
_INSTRUCTION = re.compile(r'^[A-Z]+(?= )', re.MULTILINE)

needs_hadolint = pytest.mark.skipif(not _HADOLINT, reason='hadolint is not here: extra dev')


def _complaints(text: str) -> str:
    """Returns what hadolint says of a Dockerfile; '' if it has nothing to say."""
    result = subprocess.run([_HADOLINT, '-'], input=text, capture_output=True, text=True, timeout=60)
    return result.stdout + result.stderr


def _stages() -> dict[str, str]:
    """Returns the instructions of each stage by its name."""
    parts = re.split(r'^FROM \S+ AS (\S+)\n', _DOCKERFILE, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


@needs_hadolint
def test_hadolint_has_nothing_to_say():
    assert _complaints(_DOCKERFILE) == ''


@needs_hadolint
@pytest.mark.parametrize(
    ('right', 'wrong'),
    [
        *((word, f'{word}X') for word in sorted(set(_INSTRUCTION.findall(_DOCKERFILE)))),
        ('--from=beam', '--from=bean'),
        ('--from=launcher', '--form=launcher'),
        (' AS base', ' ASS base'),
        ('USER 1000', 'USER root'),
    ],
)
def test_a_misspelt_word_is_found(right, wrong):
    assert right in _DOCKERFILE
    assert _complaints(re.sub(rf'(?m){right}(?= |$)', wrong, _DOCKERFILE, count=1)) != ''


def test_a_variable_is_one_that_somebody_reads():
    instructions = re.findall(r'^ENV ((?:.*\\\n)*.*)$', _DOCKERFILE, re.MULTILINE)
    named = re.findall(r'(\S+?)=', ' '.join(instructions))
    assert sorted(named) == sorted(_VARIABLES)


def test_all_targets_serve_beam_and_the_trainer_and_are_not_roots():
    stages = _stages()
    assert set(_TARGETS) <= set(stages)
    for target in _TARGETS:
        assert stages[target].rstrip().endswith('USER 1000\nENTRYPOINT ["/opt/apache/beam/boot"]')
        assert 'pip install --no-deps --editable .' in stages[target]
        assert '&& chown sero .\n' in stages[target]  # Beam's program ends at once where it may not write
    assert 'COPY --from=beam /opt/apache/beam /opt/apache/beam' in stages['base']


def test_what_is_installed_is_pinned():
    installed = re.findall(r'pip install (?!--no-deps)(\S+ \S+)', _DOCKERFILE)
    assert len(installed) == 3
    assert set(installed) == {'--constraint constraints.txt'}


def test_beam_and_python_are_those_of_the_locked_versions():
    beam = re.search(r'^ARG BEAM=(.+)$', _DOCKERFILE, re.MULTILINE)[1]
    python = re.search(r'^ARG PYTHON=(.+)$', _DOCKERFILE, re.MULTILINE)[1]
    assert f'\napache-beam=={beam}\n' in (ROOT / 'constraints.txt').read_text()
    assert f'/python{python.replace(".", "")}-template-launcher-base:' in _DOCKERFILE


def test_the_launchers_file_and_all_that_is_copied_are_sent_to_docker():
    sent = [
        line.removeprefix('!')
        for line in (ROOT / 'cloud' / 'Dockerfile.dockerignore').read_text().splitlines()
        if line.startswith('!')
    ]
    missing = [path for path in sent if not (ROOT / path).exists()]
    assert missing == []
    sources = ' '.join(re.findall(r'^COPY (?!--from)(.+) \S+$', _DOCKERFILE, re.MULTILINE)).split()
    launcher = re.search(r'FLEX_TEMPLATE_PYTHON_PY_FILE=/opt/sero-spikes/(\S+)', _DOCKERFILE)[1]
    for source in {*sources, launcher} - {'.'}:
        assert any(fnmatch.fnmatch(source, pattern) or source.startswith(f'{pattern}/') for pattern in sent), source
