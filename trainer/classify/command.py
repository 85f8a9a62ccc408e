r"""Classifies new recordings: is the neuron serotonergic, and how certain is that?

    sero-classify --model runs/synthetic --output_dir verdicts A140313#073.abf
    sero-classify --model runs/synthetic --output_dir verdicts --export nwb,phy recordings_of_today

A model that somebody passes on is a .zip or a folder of sero-export-model, or such a folder on the Hugging Face Hub:

    sero-classify --model model.zip --output_dir verdicts A140313#073.abf
    sero-classify --model hf://OWNER/NAME --output_dir verdicts A140313#073.abf

A PATH is a recording (ABF, WinWCP, Spike2, AxoGraph, Igor, NWB, or a plain .csv or .npy with --sampling_rate_hz), or a
folder that holds recordings or published spike CSVs (CELL/CELL_trigger_N.csv) at any depth.
Writes cells.csv, spikes.csv, rejected.jsonl and report.html into the output folder, replacing an earlier run's.
Files that cannot be used are listed with the reason in rejected.jsonl, and the status is 1.

Adds the verdicts to an NWB recording itself too, as columns of its units:

    sero-classify --model runs/synthetic --output_dir verdicts --nwb_units=add session.nwb

During an experiment, it classifies each recording as soon as the acquisition program has closed it, until Ctrl-C:

    sero-classify --model runs/synthetic --output_dir verdicts --watch today
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import flags

from beam_pipelines.cli.command import refuse_urls, run_command, say, show
from beam_pipelines.cli.words import counted
from beam_pipelines.errors import UsageError, UserError
from trainer.classify.reading_flags import READING_FLAGS, define_reading_flags, options_of_flags
from trainer.classify.watched_flag import check_watched

if TYPE_CHECKING:
    from beam_pipelines.recordings.cell_files import RecordingFiles
    from beam_pipelines.recordings.rejection import RejectedFile
    from trainer.classify.batch import Findings
    from trainer.classify.classifier import Classifier
    from trainer.classify.nwb_units import UnitsTable


def define_flags() -> None:
    """Defines the command's flags; not at import, so that several commands can be imported together."""
    flags.DEFINE_string(
        'model',
        None,
        'Folder of a finished run of sero-train; or the folder or .zip of sero-export-model, or hf://OWNER/NAME.',
        required=True,
    )
    flags.DEFINE_string('output_dir', None, 'Folder to write to.', required=True)
    flags.DEFINE_string(
        'watch', None, 'Folder in which recordings appear: classify each when it is complete, until Ctrl-C.'
    )
    define_reading_flags()
    for name in READING_FLAGS:
        flags.declare_key_flag(name)
    flags.DEFINE_bool(
        'with_firing',
        False,
        'Also give p_ser_with_firing, by the shape and the firing rate and regularity; the verdict stays by the shape.',
    )
    flags.DEFINE_bool('allow_rejected', False, 'Exit with status 0 even if files were rejected.')
    flags.DEFINE_list('export', [], 'Other formats to write too: nwb (needs pynwb), phy.')
    flags.DEFINE_enum(
        'nwb_units',
        None,
        ['add', 'replace'],
        'Add the verdicts to the units of the NWB recordings themselves; replace: also where there are verdicts.',
    )


def main(argv: list[str]) -> int:
    paths, folder = argv[1:], pathlib.Path(flags.FLAGS.output_dir)
    refuse_urls('output_dir', 'watch')
    _check_flags(paths)
    # Imported here, so that --help is immediate.
    from trainer.classify.inputs import find_recordings
    from trainer.models.places import model_folder

    recordings, rejected = find_recordings(paths, str(folder)) if paths else ([], [])
    _check_exports(folder, recordings)
    tables = _read_units(recordings)
    with model_folder(flags.FLAGS.model) as model:
        return _classify(model, recordings, rejected, tables)


def _classify(
    model: str, recordings: Sequence[RecordingFiles], rejected: Sequence[RejectedFile], tables: Sequence[UnitsTable]
) -> int:
    """Classifies recordings, or those that appear in the watched folder, with the model of a folder."""
    from trainer.classify.outputs import make_folder, write_outputs
    from trainer.classify.reading_pool import ReadingPool
    from trainer.models import model_info
    from trainer.models.places import check_not_trained

    folder, watched = pathlib.Path(flags.FLAGS.output_dir), flags.FLAGS.watch
    check_not_trained(model)
    # Reading starts before the model is loaded, which takes as long as reading a recording.
    with (
        make_folder(folder),
        ReadingPool(options_of_flags(model_info.read(model).cutting), len(recordings)) as pool,
    ):
        reading = pool.read(recordings)
        from trainer.classify.batch import classify_all
        from trainer.classify.classifier import load_classifier
        from trainer.classify.watch import watch

        # An archive was unpacked into a folder of another name.
        classifier = dataclasses.replace(load_classifier(model, flags.FLAGS.with_firing), path=flags.FLAGS.model)
        check_not_trained(model)
        if watched:
            watch(classifier, pool, watched, folder, flags.FLAGS.export)
            return 0
        findings = classify_all(classifier, reading, recordings, rejected)
        with _adding_verdicts(tables, findings, classifier):
            report = write_outputs(folder, findings, classifier, flags.FLAGS.export)
    _print_findings(findings, classifier, report)
    for table in tables:
        done = 'replaced' if table.verdicts else 'added'
        show(f'{table.path}: verdicts on {counted(len(table.ids), "unit")} {done}')
    return 0 if findings.cells and (flags.FLAGS.allow_rejected or not findings.rejected) else 1


def _read_units(recordings: Sequence[RecordingFiles]) -> list[UnitsTable]:
    """Returns the units to which verdicts will be added, or raises UserError if they cannot be: before any work."""
    if not flags.FLAGS.nwb_units:
        return []
    from trainer.classify.nwb_verdicts import read_tables

    return read_tables([recording.paths[0] for recording in recordings], flags.FLAGS.nwb_units)


def _adding_verdicts(
    tables: Sequence[UnitsTable], findings: Findings, classifier: Classifier
) -> contextlib.AbstractContextManager[object]:
    if not tables:
        return contextlib.nullcontext()
    from trainer.classify.nwb_verdicts import adding_verdicts

    return adding_verdicts(tables, findings.sorted_cells(), findings.rejected, classifier.description)


def _check_flags(paths: list[str]) -> None:
    """Raises UserError if the arguments do not fit together or cannot be used, before any work is done."""
    from trainer.classify.nwb_export import check_can_export_nwb
    from trainer.classify.outputs import EXPORTS
    from trainer.classify.phy_export import find_phy_folder, is_phy_folder

    watched, exports = flags.FLAGS.watch, flags.FLAGS.export
    check_watched(watched)
    if bool(paths) == bool(watched):
        raise UsageError('give files or folders to classify, or one folder to --watch')
    if watched and flags.FLAGS.nwb_units:
        raise UsageError('--nwb_units changes the recordings, which --watch would classify again; use one of them')
    for name in exports:
        if name not in EXPORTS:
            raise UserError(f'--export={name}: expected some of {", ".join(EXPORTS)}')
    if 'nwb' in exports:
        check_can_export_nwb()
    # A recording that names no cluster would end the watch in the middle of an experiment.
    if watched and 'phy' in exports and is_phy_folder(phy := find_phy_folder(pathlib.Path(flags.FLAGS.output_dir))):
        raise UserError('is a folder of phy; --watch cannot write there, so choose another --output_dir', file=phy)


def _check_exports(folder: pathlib.Path, recordings: Sequence[RecordingFiles]) -> None:
    """Raises UserError if exports would be refused, as far as that is known before the recordings are read."""
    from beam_pipelines.recordings.formats import is_one_cell
    from trainer.classify.outputs import check_can_export
    from trainer.classify.phy_export import find_phy_folder, is_phy_folder

    several = [recording.paths[0] for recording in recordings if not is_one_cell(recording.paths[0])]
    if several and 'phy' in flags.FLAGS.export and is_phy_folder(phy := find_phy_folder(folder)):
        raise UserError(f'may hold several cells, and which clusters of {phy} they are is not known', file=several[0])
    one_cell = [recording.cell_id for recording in recordings if is_one_cell(recording.paths[0])]
    check_can_export(folder, one_cell, flags.FLAGS.export)


def _print_findings(findings: Findings, classifier: Classifier, report: pathlib.Path) -> None:
    from beam_pipelines.recordings.rejection import screen_lines
    from beam_pipelines.recordings.verdict_files import REJECTED
    from trainer.classify.batch import findings_lines
    from trainer.reports.terminal import verdict_lines

    verdicts = [cell.result for cell in findings.sorted_cells()]
    rejected_file = report.parent / REJECTED
    lines = [
        *verdict_lines(verdicts, classifier.calibration, 'cells.csv'),
        *screen_lines(findings.rejected, str(rejected_file)),
        '',
        *findings_lines(findings, classifier),
        f'report: {report}',
    ]
    show(*lines)
    if findings.rejected:
        others = 'the verdicts are on the others' if findings.cells else 'there is no verdict'
        say(f'{counted(len(findings.rejected), "file")} rejected, see {rejected_file}; {others}')


def run() -> None:
    define_flags()
    run_command('sero-classify', __name__)


if __name__ == '__main__':
    run()
