r"""Says of each new recording whether the neuron is serotonergic, and how sure that is.

    sero-classify --model runs/synthetic --output_dir verdicts A140313#073.abf
    sero-classify --model runs/synthetic --output_dir verdicts --export nwb,phy recordings_of_today

A PATH is an .abf file, a folder of such files or of published spike CSVs (CELL/CELL_trigger_N.csv), at any depth.
Writes cells.csv, spikes.csv, rejected.jsonl and report.html into the output folder, in place of those of a run before.
Files that cannot be used are listed with the reason in rejected.jsonl, and the status is 1.

During an experiment, a verdict on each .abf file as soon as the acquisition program has closed it, until Ctrl-C:

    sero-classify --model runs/synthetic --output_dir verdicts --watch today
"""

from __future__ import annotations

import os
import pathlib

from absl import flags

from beam_pipelines.cli.command import run_command, say
from beam_pipelines.cli.words import counted
from beam_pipelines.errors import UsageError, UserError
from trainer.backend import start_keras


def define_flags() -> None:
    """Defines the command's flags: not at import, so that several commands can be imported side by side."""
    flags.DEFINE_string('model', None, 'Folder of a run of sero-train that has ended.', required=True)
    flags.DEFINE_string('output_dir', None, 'Folder to write to.', required=True)
    flags.DEFINE_string(
        'watch', None, 'Folder in which recordings appear; judges each .abf file when it is closed, until Ctrl-C.'
    )
    flags.DEFINE_bool('resample', False, 'Bring sampling rates other than 40000 Hz to it, from 10000 Hz on.')
    flags.DEFINE_bool('allow_rejected', False, 'Exit with status 0 even if files were rejected.')
    flags.DEFINE_list('export', [], 'Other formats to write too: nwb (needs pynwb), phy.')


def main(argv: list[str]) -> int:
    paths, watched = argv[1:], flags.FLAGS.watch
    if bool(paths) == bool(watched):
        raise UsageError('give files or folders to classify, or one folder to --watch')
    # Here, so that --help is there at once.
    from beam_pipelines.datasets.configs import REJECTED_FILE
    from trainer.classify.classify_summary import findings_lines, verdict_lines
    from trainer.classify.exports import check_can_export_nwb
    from trainer.classify.inputs import find_recordings
    from trainer.classify.outputs import EXPORTS, OUTPUT_NAMES, make_folder
    from trainer.classify.reading_pool import ReadingPool

    folder = pathlib.Path(flags.FLAGS.output_dir)
    for name in flags.FLAGS.export:
        if name not in EXPORTS:
            raise UserError(f'--export={name}: expected some of {", ".join(EXPORTS)}')
    if 'nwb' in flags.FLAGS.export:
        check_can_export_nwb()
    recordings, rejected = find_recordings(paths, str(folder), OUTPUT_NAMES) if paths else ([], [])
    if watched and not os.path.isdir(watched):
        raise UserError(f'--watch={watched}: no such folder')
    make_folder(folder)
    # The readers begin before TensorFlow, which takes longer to load than a recording to read.
    with ReadingPool(flags.FLAGS.resample, len(recordings)) as pool:
        reading = pool.read(recordings)
        start_keras()
        from trainer.classify.batch import judge_all, write
        from trainer.classify.classifier import load_classifier
        from trainer.classify.watch import watch

        classifier = load_classifier(flags.FLAGS.model)
        if watched:
            watch(classifier, pool, watched, folder, flags.FLAGS.export)
            return 0
        findings = judge_all(classifier, reading, recordings, rejected)
        report = write(findings, classifier, folder, flags.FLAGS.export)
    cells = findings.sorted_cells()
    lines = [*verdict_lines(cells), '', *findings_lines(findings, classifier), f'report: {report}']
    print('\n'.join(lines))
    if findings.rejected:
        say(
            f'{counted(len(findings.rejected), "file")} rejected, see {folder / REJECTED_FILE};'
            ' the verdicts are on the others'
        )
    return 0 if cells and (flags.FLAGS.allow_rejected or not findings.rejected) else 1


def run() -> None:
    define_flags()
    run_command('sero-classify', __name__)


if __name__ == '__main__':
    run()
