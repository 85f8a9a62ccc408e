"""Models by hf://OWNER/NAME, from a stand-in for the Hugging Face Hub; the Hub itself was not tried."""

import pathlib
import subprocess
import sys

import pytest

from tests.support.hub_stand_in import hub_stand_in

FILES = {
    'README.md': b'# model',
    'model_info.json': b'{}',
    'members/k5.keras': b'weights',
    'weights.pkl': b'pickle',
    '.gitattributes': b'*.keras',
    'members/readme.txt': b'text',
}
_PROGRAM = (
    'import sys; from trainer.models.places import model_folder\n'
    'with model_folder(sys.argv[1]) as folder: print(folder)'
)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setenv('HF_HOME', str(tmp_path / 'cache'))
    with hub_stand_in('owner/raphe-model', dict(FILES)) as hub:
        monkeypatch.setenv('HF_ENDPOINT', hub.address)
        yield hub


def folder_of(address: str) -> subprocess.CompletedProcess:
    """Asks for a model in a process of its own: huggingface_hub reads its environment when it is imported."""
    return subprocess.run([sys.executable, '-c', _PROGRAM, address], capture_output=True, text=True)


def error_of(address: str) -> str:
    result = folder_of(address)
    assert result.returncode == 1
    return result.stderr.strip().splitlines()[-1].removeprefix('trainer.errors.ModelError: ')


def test_only_the_files_of_a_model_are_downloaded_and_once(hub):
    result = folder_of('hf://owner/raphe-model')
    assert result.returncode == 0, result.stderr
    folder = pathlib.Path(result.stdout.strip())
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob('*') if path.is_file()}
    assert found == {name: FILES[name] for name in ('README.md', 'model_info.json', 'members/k5.keras')}
    assert sorted(hub.served) == sorted(found)
    again = folder_of('hf://owner/raphe-model')
    assert again.stdout == result.stdout and sorted(hub.served) == sorted(found)


def test_a_model_in_the_cache_is_found_without_the_hub(hub, monkeypatch):
    first = folder_of('hf://owner/raphe-model')
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    assert folder_of('hf://owner/raphe-model').stdout == first.stdout
    assert error_of('hf://owner/other').startswith('hf://owner/other: Cannot find an appropriate cached snapshot')


def test_what_is_far_too_large_is_not_downloaded(hub):
    hub.sizes['model_info.json'] = 1 << 30
    assert error_of('hf://owner/raphe-model') == (
        'hf://owner/raphe-model: its files are more or larger than those of a model (268,435,456 bytes)'
    )
    assert hub.served == []


def test_a_model_that_is_not_there_is_one_line(hub):
    assert error_of('hf://owner/other').startswith('hf://owner/other: ')


@pytest.mark.parametrize(
    'address', ['hf://', 'hf://owner', 'hf://owner/name/more', 'hf://owner/na me', 'hf://owner/name@1']
)
def test_another_address_is_refused(address):
    from trainer.errors import ModelError
    from trainer.models.hub import download_model

    with pytest.raises(ModelError, match='expected hf://OWNER/NAME'):
        download_model(address)


def test_without_the_library_the_error_names_the_extra(monkeypatch):
    from trainer.errors import ModelError
    from trainer.models.hub import download_model

    monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
    with pytest.raises(ModelError, match=r"huggingface_hub is not installed; pip install '\.\[hub\]'"):
        download_model('hf://owner/name')
