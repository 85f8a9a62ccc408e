"""A finished run without training: the frozen one, with the ``consensus.onnx`` that sero-train writes today."""

import pathlib
import shutil

from tests.support.places import ROOT


def copy_finished_run(folder: pathlib.Path) -> pathlib.Path:
    """Copies the run into a new folder and returns that; loads Keras."""
    from trainer.models import manifest, model_info
    from trainer.models.onnx_export import write_onnx
    from trainer.models.trained import load_members

    shutil.copytree(ROOT / 'tests' / 'integration' / 'frozen' / 'finished', folder)
    write_onnx(str(folder), load_members(str(folder), model_info.read(str(folder))))
    manifest.write(str(folder))
    return folder
