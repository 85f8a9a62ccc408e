"""All verdicts of the page together, and the files that are made of them."""

from __future__ import annotations

import pathlib
import threading
import zipfile

from beam_pipelines.datasets.configs import REJECTED_FILE
from beam_pipelines.errors import UserError
from beam_pipelines.storage.atomic_files import staged
from trainer.app.session import Session
from trainer.app.uploads import Uploads
from trainer.classify.batch import Findings
from trainer.classify.classifier import Classifier
from trainer.classify.nwb_export import export_nwb
from trainer.classify.outputs import write_outputs
from trainer.evaluation.results import ClassifiedCell

NWB_ZIP = 'nwb.zip'
TABLES = ('cells.csv', 'spikes.csv', REJECTED_FILE, 'report.html')


class NothingClassified(UserError):
    """There are no verdicts to write."""


class Results:
    """The verdicts so far; may be used from several threads.

    Parameters
    ----------
    session, uploads : the files and where the uploaded ones are.
    classifier : the model.
    folder : private; for the files that are made.
    """

    def __init__(self, session: Session, uploads: Uploads, classifier: Classifier, folder: pathlib.Path):
        self._session, self._uploads, self._classifier = session, uploads, classifier
        self._folder = folder
        self._gathering, self._writing = threading.Lock(), threading.Lock()
        self._gathered: tuple[int, Findings] = (-1, Findings())
        self._written: dict[str, int] = {}

    def findings(self) -> Findings:
        """Returns what became of the files that are done, named as the user knows them."""
        with self._gathering:
            version = self._session.version
            if self._gathered[0] != version:
                findings = Findings()
                for file in self._session.files():
                    for cell, report in file.outcomes:
                        self._uploads.add_shown(findings, cell, report)
                self._gathered = (version, findings)
            return self._gathered[1]

    def file(self, name: str) -> pathlib.Path:
        """Returns one of ``TABLES`` or ``NWB_ZIP``, up to date.

        Raises
        ------
        NothingClassified
            If there is no verdict.
        UserError
            If NWB files cannot be made here.
        OSError
            If the disk is full.
        """
        with self._writing:
            version = self._session.version
            findings = self.findings()
            if not findings.cells:
                raise NothingClassified('There is no verdict yet.')
            if self._written.get(name) != version and name == NWB_ZIP:
                self._write_nwb()
                self._written[name] = version
            elif self._written.get(name) != version:
                write_outputs(self._folder, findings, self._classifier, ())
                self._written |= dict.fromkeys(TABLES, version)
            return self._folder / name

    def nwb_of(self, cell: ClassifiedCell) -> pathlib.Path:
        """Returns the NWB file of one cell; UserError or OSError as of ``file``."""
        with self._writing:
            folder = self._folder / 'of_one'
            folder.mkdir(exist_ok=True)
            (path,) = export_nwb(folder, [cell], self._classifier.description)
            return path

    def _write_nwb(self) -> None:
        cells = self.findings().sorted_cells()
        folder = self._folder / 'of_all'
        folder.mkdir(exist_ok=True)
        paths = export_nwb(folder, cells, self._classifier.description)
        with staged(self._folder / NWB_ZIP) as temporary, zipfile.ZipFile(temporary, 'w', zipfile.ZIP_DEFLATED) as file:
            for path in paths:
                file.write(path, path.name)
