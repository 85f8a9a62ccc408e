import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from beam_pipelines.cli.signals import StopRequests, interrupts_held_back, interrupts_kept


@pytest.fixture(params=['signal_mask', 'no_signal_mask'])
def system(request, monkeypatch):
    """A system with signal masks and one without, as Windows."""
    if request.param == 'no_signal_mask':
        monkeypatch.delattr(signal, 'pthread_sigmask')


def test_ctrl_c_comes_when_the_block_has_ended(system):
    done = []
    with pytest.raises(KeyboardInterrupt):
        with interrupts_held_back():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
            done.append('all')
        done.append('too much')
    assert done == ['all']
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_that_another_thread_receives_is_held_back_too(system):
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    done = []
    try:
        with pytest.raises(KeyboardInterrupt), interrupts_held_back():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
            done.append('all')
    finally:
        end.set()
        thread.join()
    assert done == ['all']


def test_without_ctrl_c_nothing_comes(system):
    with interrupts_held_back():
        pass
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_error_of_the_block_comes_out(system):
    with pytest.raises(ZeroDivisionError), interrupts_held_back():
        _ = 1 / 0
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_outside_the_main_thread_the_block_runs(system):
    done = []

    def run():
        with interrupts_held_back():
            done.append('all')

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert done == ['all']


@pytest.mark.skipif(not hasattr(signal, 'pthread_sigmask'), reason='needs signal masks')
def test_a_process_that_the_block_starts_does_not_receive_ctrl_c():
    with interrupts_held_back():
        process = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(0.5)'])
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0


def test_held_back_ctrl_c_is_a_stop_request_within_their_context(capsys):
    with StopRequests() as requests:
        with interrupts_held_back():
            signal.raise_signal(signal.SIGINT)
            assert requests.signal_number is None
        assert requests.signal_number == signal.SIGINT
    assert 'saving and stopping' in capsys.readouterr().err


@pytest.mark.parametrize('kind', [RuntimeError, ValueError])
def test_ctrl_c_stays_ctrl_c_whatever_a_library_makes_of_it(kind):
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), interrupts_kept():
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise kind('made of an interrupt') from None
    assert signal.getsignal(signal.SIGINT) is handler


def test_an_error_without_ctrl_c_stays_what_it_is():
    with pytest.raises(ValueError, match='a mistake'), interrupts_kept():
        raise ValueError('a mistake')
