"""The image: each name that is used for it is pushed, and it has the clients of the buckets that it reads."""

import json
import re

from tests.support.extras import extras_of_setup
from tests.support.places import ROOT
from trainer.buckets import store

_PAGE = ROOT / 'docs' / 'cloud.md'
_TEXTS = {
    str(path.relative_to(ROOT)): path.read_text().replace('\\\n', ' ')
    for path in [_PAGE, *sorted((ROOT / 'cloud').rglob('*'))]
    if path.is_file() and path.suffix != '.pyc'
}
_FLAGS_OF_TRAINER = json.loads((ROOT / 'tests' / 'integration' / 'frozen' / 'flags.json').read_text())['sero-train']
# Vertex AI tells sero-train the URL of its folder by AIP_MODEL_DIR.
_URL_OF_TRAINER = re.compile(rf'(?:--(?:{"|".join(_FLAGS_OF_TRAINER)})[= ]|outputUriPrefix: )(\w+)://')


def test_each_image_that_is_named_is_pushed():
    (targets,) = re.findall(r'^    for target in (.+); do$', _TEXTS['docs/cloud.md'], re.MULTILINE)
    pushed = {f'TAG-{target}' for target in [*targets.split(), '$target']}
    named = [(path, tag) for path, text in _TEXTS.items() for tag in re.findall(r'/sero-spikes:([\w$-]*)', text)]
    assert [use for use in named if use[1] not in pushed] == []
    folders = {path.split('/')[1] for path, _ in named}
    assert folders >= {'Dockerfile', 'cloud.md', 'dataflow', 'gke', 'tpu_vm', 'vertex'}


def test_the_image_has_the_client_of_each_store_that_the_trainer_is_given():
    schemes = {scheme for text in _TEXTS.values() for scheme in _URL_OF_TRAINER.findall(text)}
    assert 'gs' in schemes
    (installed,) = re.findall(r"'\.\[([\w,]+)\]'", _TEXTS['cloud/Dockerfile'])
    packages = set().union(*(extras_of_setup()[extra] for extra in installed.split(',')))
    for scheme in sorted(schemes):
        module = store._CLIENTS[scheme][0].partition('.')[0]
        assert module in packages, f'{scheme}:// needs {module}'
