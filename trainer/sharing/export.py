"""Copies what of a finished run is worth passing on into a folder and a ``.zip``, with a model card."""

from __future__ import annotations

import dataclasses
import os
import shutil

from beam_pipelines.errors import UsageError, UserError
from beam_pipelines.storage.atomic_files import staged, write_text
from trainer.errors import ModelError
from trainer.evaluation import calibration as calibrations
from trainer.evaluation import training_range
from trainer.models import manifest, model_info, onnx_ensemble
from trainer.models.archive import CARD_FILE, METRICS_FILE, pack_model
from trainer.models.places import check_not_trained
from trainer.sharing.evaluated import read_evaluation
from trainer.sharing.model_card import DescribedModel, write_card

_ZIP = '.zip'


@dataclasses.dataclass(frozen=True)
class Exported:
    """An exported model.

    Attributes
    ----------
    folder, archive : where it is.
    model : what its card says.
    """

    folder: str
    archive: str
    model: DescribedModel


def export_model(workdir: str, folder: str) -> Exported:
    """Writes a finished run into a folder, and into a ``.zip`` beside it; each appears whole or not at all.

    Parameters
    ----------
    workdir : of the run, or a folder that was exported before.
    folder : does not exist yet.

    Raises
    ------
    UserError
        If the folder or the ``.zip`` exists, or the run is unfinished, damaged, being trained, or of an early version.
    """
    folder = os.path.normpath(folder)
    if folder.endswith(_ZIP):
        raise UsageError(f'{folder}: give the name of the folder; the {_ZIP} is written beside it')
    archive = f'{folder}{_ZIP}'
    for path in (folder, archive):
        if os.path.lexists(path):
            raise UserError('exists and is kept; give another name, or remove it', file=path)
    check_not_trained(workdir)
    model = _describe(workdir)
    names = manifest.files_to_pass_on(workdir)
    os.makedirs(os.path.dirname(folder) or '.', exist_ok=True)
    with staged(folder) as temporary:
        for name in names:
            target = os.path.join(temporary, *name.split('/'))
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copyfile(os.path.join(workdir, *name.split('/')), target)
        if model.evaluation:
            shutil.copyfile(_metrics_of(workdir), os.path.join(temporary, METRICS_FILE))
            names.append(METRICS_FILE)
        write_text(os.path.join(temporary, CARD_FILE), write_card(model))
        check_not_trained(workdir)
        pack_model(temporary, [*names, CARD_FILE], archive)
    return Exported(folder, archive, model)


def _describe(workdir: str) -> DescribedModel:
    """Reads what a verdict rests on, as ``sero-classify`` does, and the evaluation; UserError if it cannot be used."""
    info = model_info.read(workdir)
    if not info.finished:
        path = os.path.join(workdir, model_info.FILE_NAME)
        raise ModelError(f'{path}: the training was interrupted; sero-train goes on with it')
    for name in manifest.NEEDED_TO_PASS_ON:
        if not os.path.exists(path := os.path.join(workdir, name)):
            raise ModelError(f'{path}: no such file; sero-train writes it when it is given the same command again')
    manifest.check_files(workdir)
    onnx_ensemble.load_onnx_ensemble(workdir, info)
    calibration = calibrations.load(workdir)
    evaluation = read_evaluation(_metrics_of(workdir), calibration)
    return DescribedModel(info, calibration, training_range.load(workdir), evaluation)


def _metrics_of(workdir: str) -> str:
    """Returns the path of the figures of an evaluation, which may not exist."""
    of_run, of_exported = os.path.join(workdir, 'evaluation', METRICS_FILE), os.path.join(workdir, METRICS_FILE)
    # What was exported before has them beside its card; if it was evaluated since, these are of the same model.
    return of_exported if os.path.exists(of_exported) and not os.path.exists(of_run) else of_run
