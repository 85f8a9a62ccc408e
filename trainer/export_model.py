r"""Writes a trained model into one folder, and into a .zip beside it, to pass on.

    sero-export-model runs/synthetic serotonin_model

``serotonin_model`` and ``serotonin_model.zip`` then hold the same: the members and their consensus for Keras and ONNX
Runtime, the calibration, the training range, and README.md, a model card: what the model was trained on, how it was
evaluated, its limits, how to cite it. The card's figures are those of sero-evaluate, so run that first.

Whoever gets it classifies with it: ``sero-classify --model serotonin_model.zip ...``. What is on the Hugging Face Hub
is the content of the folder, and then the model is ``hf://OWNER/NAME``.
"""

from __future__ import annotations

from beam_pipelines.cli.command import run_command, show
from beam_pipelines.errors import UsageError
from beam_pipelines.recordings.sources import find_source


def main(argv: list[str]) -> int:
    if len(argv) != 3:
        raise UsageError('give two folders: that of a finished run, and the one to write')
    for folder in argv[1:]:
        if '://' in folder:
            raise UsageError(f'{folder}: must be a folder of this machine')
    # Imported here, so that --help is immediate.
    from trainer.sharing.export import export_model

    exported = export_model(argv[1], argv[2])
    info = exported.model.info
    lines = [f'folder: {exported.folder}', f'archive: {exported.archive}']
    if exported.model.evaluation is None:
        lines.append('not evaluated: the model card says so and has no figures; sero-evaluate makes them')
    if made := find_source([info.source]):
        lines.append(f'The model was trained on {made.recordings}; its verdicts say nothing about {made.not_about}.')
    show(*lines)
    return 0


def run() -> None:
    run_command('sero-export-model', __name__)


if __name__ == '__main__':
    run()
