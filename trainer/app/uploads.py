"""Receives recordings from the browser into a private folder, within limits."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import re
import secrets
import shutil
from collections.abc import AsyncIterator

from beam_pipelines.cli.words import counted
from beam_pipelines.errors import UserError
from beam_pipelines.recordings.rejection import RejectedFile
from beam_pipelines.recordings.spike_csv import is_spike_csv
from beam_pipelines.spikes.extraction import ExtractionReport
from trainer.classify.batch import Findings
from trainer.evaluation.results import ClassifiedCell

MIB = 1 << 20

# File systems allow 255.
_MOST_BYTES_OF_NAME = 200


class UploadRefused(UserError):
    """A file is not taken.

    Attributes
    ----------
    status : of the answer, in HTTP.
    """

    def __init__(self, problem: str, status: int = 422):
        super().__init__(problem)
        self.status = status


@dataclasses.dataclass(frozen=True)
class UploadLimits:
    """How much the page takes.

    Attributes
    ----------
    file_bytes, all_bytes : of one recording, and of all together.
    files : how many recordings.
    """

    file_bytes: int = 1024 * MIB
    all_bytes: int = 8 * 1024 * MIB
    files: int = 1000


class Uploads:
    """The uploaded files, each in a folder of its own, because two may have the same name.

    Parameters
    ----------
    folder : private; it and its end are the caller's.
    limits : how much is taken.
    """

    def __init__(self, folder: pathlib.Path, limits: UploadLimits):
        self._folder, self.limits = folder, limits
        self._bytes: dict[str, int] = {}  # by folder; what is being received counts already
        self._prefix = re.compile(re.escape(str(folder) + os.sep) + r'[0-9a-f]+' + re.escape(os.sep))

    async def receive(self, name: str, chunks: AsyncIterator[bytes]) -> str:
        """Writes a file as it comes in, and returns its path; nothing stays if it does not come whole.

        Raises
        ------
        UploadRefused
            If the name cannot be used, or a limit is reached.
        OSError
            If the file cannot be written.
        """
        name = _checked_name(name)
        if len(self._bytes) >= self.limits.files:
            raise UploadRefused(
                f'{counted(self.limits.files, "file")} are here, and no more are taken: remove some,'
                ' or give the folder to sero-classify.',
                413,
            )
        folder = self._folder / secrets.token_hex(8)
        folder.mkdir(mode=0o700)
        self._bytes[str(folder)] = 0
        try:
            with open(folder / name, 'wb') as file:
                async for chunk in chunks:
                    self._count(str(folder), len(chunk))
                    file.write(chunk)
        except BaseException:  # Also if the browser goes away.
            self._remove(folder)
            raise
        return str(folder / name)

    def remove(self, path: str) -> None:
        """Removes an uploaded file."""
        self._remove(pathlib.Path(path).parent)

    def shown(self, text: str) -> str:
        """Returns a text in which uploaded files are named as the user knows them."""
        return self._prefix.sub('', text)

    def add_shown(self, findings: Findings, cell: ClassifiedCell | None, report: ExtractionReport) -> None:
        """Adds an outcome to findings, with its files named as the user knows them."""
        if cell is not None:
            cell = dataclasses.replace(cell, path=self.shown(cell.path))
        rejected = tuple(map(self.shown_rejection, report.rejected))
        findings.add(cell, dataclasses.replace(report, rejected=rejected))

    def shown_rejection(self, file: RejectedFile) -> RejectedFile:
        """Returns a rejection that names files as the user knows them."""
        return RejectedFile(self.shown(file.path), file.reason, self.shown(file.detail))

    def _count(self, folder: str, new_bytes: int) -> None:
        self._bytes[folder] += new_bytes
        if self._bytes[folder] > self.limits.file_bytes:
            raise UploadRefused(
                f'larger than {self.limits.file_bytes // MIB:,} MiB; give the file to sero-classify, which has no such'
                ' limit.',
                413,
            )
        if sum(self._bytes.values()) > self.limits.all_bytes:
            raise UploadRefused(
                f'all files together are larger than {self.limits.all_bytes // MIB:,} MiB; remove some, or give the'
                ' folder to sero-classify.',
                413,
            )

    def _remove(self, folder: pathlib.Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(KeyError):
            del self._bytes[str(folder)]


def _checked_name(name: str) -> str:
    """Returns the last part of a name from a browser; UploadRefused if it cannot be a file's."""
    name = name.replace('\\', '/').rpartition('/')[2]
    if not name or name.startswith('.') or not name.isprintable():
        raise UploadRefused('the name cannot be that of a recording; give it another one.')
    if len(name.encode(errors='replace')) > _MOST_BYTES_OF_NAME:
        raise UploadRefused(f'the name is longer than {_MOST_BYTES_OF_NAME} bytes; shorten it.')
    if is_spike_csv(name):
        raise UploadRefused(
            'is one spike of a cell, and the page takes whole recordings: give the folder of the cell to sero-classify.'
        )
    return name
