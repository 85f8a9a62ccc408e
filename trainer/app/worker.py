"""Classifies the recordings of the page, one after the other, until Ctrl-C."""

from __future__ import annotations

import time

from beam_pipelines.cli.signals import StopRequests
from trainer.app.session import Session
from trainer.classify.classifier import Classifier
from trainer.classify.reading_pool import ReadingPool
from trainer.classify.watch import WatchedFolder
from trainer.classify.watched_outcomes import WatchedOutcomes

_SECONDS_BETWEEN_LOOKS = 1.0


class Worker:
    """Takes files from the queue of a session; runs in the main thread, beside the web server.

    Parameters
    ----------
    session : whose files are classified.
    classifier, pool : the model, and what reads the recordings.
    watched : a folder whose recordings join the queue when they are complete; None: there is none.
    """

    def __init__(self, session: Session, classifier: Classifier, pool: ReadingPool, watched: WatchedFolder | None):
        self._session, self._watched = session, watched
        self._outcomes = WatchedOutcomes(classifier, pool)

    def run(self, requests: StopRequests) -> None:
        """Works until a stop is requested; a recording that is being classified then is finished first."""
        next_look = time.monotonic()
        while requests.signal_number is None:
            if self._watched and time.monotonic() >= next_look:
                for path in self._watched.poll():
                    self._session.add(path, self._session.options_of(path))
                self._session.set_unwatched(self._watched.problems)
                next_look = time.monotonic() + _SECONDS_BETWEEN_LOOKS
            self._classify_next()

    def _classify_next(self) -> None:
        file = self._session.take(_SECONDS_BETWEEN_LOOKS)
        if file is not None:
            self._session.finish(file, tuple(self._outcomes.classify(file.path, file.options)))
        for path in self._session.take_gone():
            self._outcomes.forget(path)
        for path in self._outcomes.take_outdated():
            if left := self._outcomes.of_file(path):
                self._session.replace_outcomes(path, left)
            is_repeated = not left and self._session.repeat_or_remove(path)
            if self._watched and not is_repeated:
                self._watched.forget(path)  # It may come back as it was.
