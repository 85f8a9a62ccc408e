"""What the browser is sent: the page, its rows and cells, its style and its script."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util

import jinja2

from beam_pipelines.cli.words import counted
from beam_pipelines.recordings.formats import SUFFIXES
from beam_pipelines.recordings.reading_options import ReadingOptions
from beam_pipelines.recordings.rejection import REASONS
from trainer.app.reading_form import field_that_mends, form_of, may_be_mended, trained_words
from trainer.app.results import NWB_ZIP, TABLES
from trainer.app.session import SessionChanges, SessionFile
from trainer.app.uploads import MIB, Uploads
from trainer.classify.batch import Findings
from trainer.classify.classifier import Classifier
from trainer.classify.watched_outcomes import Outcome
from trainer.evaluation.results import ClassifiedCell
from trainer.reports import page as report_page
from trainer.reports.activity_picture import draw_activity, end_s
from trainer.reports.cell_section import CellSections
from trainer.reports.classification_report import model_words, source_words, summary, warned_words


class Pages:
    """Renders the templates.

    Parameters
    ----------
    classifier : the model.
    uploads : knows how uploaded files are named.
    watched : the folder that is watched; None: there is none.
    """

    def __init__(self, classifier: Classifier, uploads: Uploads, watched: str | None):
        self._uploads, self._watched = uploads, watched
        self._sections = CellSections(classifier.training_range)
        self._info = classifier.description
        self._trained = classifier.info.cutting
        self._templates = report_page.environment()
        loaders = [jinja2.PackageLoader('trainer.app', 'templates'), self._templates.loader]
        self._templates.loader = jinja2.ChoiceLoader([loader for loader in loaders if loader])
        self._templates.globals |= model_words(self._info) | {'trained_words': trained_words(self._trained)}

    def page(self, options: ReadingOptions) -> str:
        """Returns the page without recordings; ``options`` are what its form starts with."""
        limits = self._uploads.limits
        return self._templates.get_template('app.html').render(
            **source_words([], self._info),
            shared_pictures=self._sections.shared_pictures,
            form=form_of(options, self._trained),
            suffixes=SUFFIXES,
            watched=self._watched,
            limits=limits,
            most_mib=limits.file_bytes // MIB,
            tables=TABLES,
            nwb_zip=NWB_ZIP,
            has_pynwb=_has_pynwb(),
        )

    @functools.cached_property
    def style(self) -> str:
        return self._templates.get_template('app.css').render()

    @functools.cached_property
    def script(self) -> str:
        return self._templates.get_template('app.js').render()

    def state(self, changes: SessionChanges, findings: Findings) -> dict:
        """Returns what the page shows anew, as JSON: rows, counts and progress in words."""
        cells = findings.sorted_cells()
        return {
            'version': changes.version,
            'files': [{'number': file.number, 'rows': self.rows(file)} for file in changes.files],
            'removed': changes.removed,
            'counts': dict(summary(cells)) | {'rejected': len(findings.rejected)},
            'words': warned_words(cells) if cells else '',
            **source_words(cells, self._info),
            'busy': bool(changes.reading or changes.waiting),
            'done': changes.done,
            'total': changes.done + changes.waiting + bool(changes.reading),
            'progress': _progress_words(changes),
            'unwatched': ' '.join(f'{problem}.' for problem in changes.unwatched),
        }

    def rows(self, file: SessionFile) -> str:
        """Returns the rows of a file in the table of verdicts, as HTML."""
        outcomes = [
            (self._anchor(file, place), cell, None if cell else self._why(outcome))
            for place, outcome in enumerate(file.outcomes)
            for cell in [outcome[0]]
        ]
        return self._templates.get_template('rows.html').render(file=file, outcomes=outcomes)

    def opened(self, file: SessionFile, place: int) -> str:
        """Returns the evidence on one of the cells in a file, or why it was rejected, and the form to read it anew."""
        cell, _ = outcome = file.outcomes[place]
        why = None if cell else self._why(outcome)
        section = None
        if cell:
            shown = dataclasses.replace(cell, path=self._uploads.shown(cell.path))
            section = self._sections.of(shown, self._anchor(file, place))
        return self._templates.get_template('opened.html').render(
            file=file,
            place=place,
            anchor=self._anchor(file, place),
            section=section,
            why=why,
            is_readable=not why or may_be_mended(why['reason']),
            marked=field_that_mends(why['reason'], file.name) if why else '',
            path=self._uploads.shown(file.path),
            form=form_of(file.options, self._trained),
            last_s=end_s(cell) if cell else 0.0,
            has_pynwb=_has_pynwb(),
        )

    def stretch(self, cell: ClassifiedCell, first_s: float, last_s: float) -> str:
        """Returns the picture of a stretch of a recording, as SVG."""
        return draw_activity(cell, (first_s, last_s)).svg

    def _anchor(self, file: SessionFile, place: int) -> str:
        return f'cell-{file.number}-{place}'

    def _why(self, outcome: Outcome) -> dict[str, str]:
        (first, *_) = map(self._uploads.shown_rejection, outcome[1].rejected)
        return {'reason': first.reason, 'words': REASONS[first.reason], 'detail': first.detail}


def _progress_words(changes: SessionChanges) -> str:
    if changes.reading is None and not changes.waiting:
        return ''
    total = changes.done + changes.waiting + bool(changes.reading)
    now = f'; now {changes.reading}' if changes.reading else ''
    return f'{changes.done} of {counted(total, "recording")} classified{now}'


def _has_pynwb() -> bool:
    return importlib.util.find_spec('pynwb') is not None
