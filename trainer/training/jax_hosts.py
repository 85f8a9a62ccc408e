"""Several hosts of one JAX program: they find each other, and one that is lost ends the others in one line.

    JAX_COORDINATOR_ADDRESS=host0:1234 JAX_NUM_PROCESSES=2 JAX_PROCESS_ID=0 sero-train --backend=jax ...

On a Cloud TPU, JAX knows the hosts of the slice by itself.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import glob
import importlib.util
import inspect
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping

from beam_pipelines.errors import UserError

_ADDRESS, _COUNT, _NUMBER = 'JAX_COORDINATOR_ADDRESS', 'JAX_NUM_PROCESSES', 'JAX_PROCESS_ID'

_LOST = 'another host has ended or cannot be reached; the same command on all of them goes on from the last checkpoint'
# Of what JAX and Gloo say then.
_SIGNS_OF_LOSS = ('Gloo', 'UNAVAILABLE', 'heartbeat', 'oordination', 'Connection')

_SECONDS_TO_NOTICE = 10
_SECONDS_TO_MEET = 7 * 24 * 3600
_SECONDS_TO_DISCONNECT = 1
_LEFT = 'sero-spikes/left'

# When the first host is lost, C++ ends the others' processes from a thread: nothing in them can say why.
_WITNESS = """
import os, sys
ended = sys.stdin.buffer.read()
with os.fdopen(int(sys.argv[1]), 'rb') as file:
    file.seek(0)
    log = file.read().decode(errors='replace')
if not ended and 'Check failure' in log:
    is_lost = any(sign in log for sign in sys.argv[3:])
    sys.stderr.write(sys.argv[2] + '\\n' if is_lost else log)
"""


def hosts_of_environment(environment: Mapping[str, str]) -> tuple[str, int, int] | None:
    """Returns the first host's address, the number of hosts and this one's number; None if nothing names hosts.

    Raises
    ------
    UserError
        If a variable is missing or is none that can be.
    """
    values = [environment.get(name, '') for name in (_ADDRESS, _COUNT, _NUMBER)]
    if not any(values):
        return None
    address, count, number = values
    example = f'expected such as {_ADDRESS}=host0:1234 {_COUNT}=2 {_NUMBER}=0'
    if not re.fullmatch(r'.+:[0-9]{1,5}', address):
        raise UserError(f'{_ADDRESS}={address}: {example}')
    if not re.fullmatch('[1-9][0-9]{0,5}', count):
        raise UserError(f'{_COUNT}={count}: {example}')
    if not re.fullmatch('[0-9]{1,6}', number) or int(number) >= int(count):
        raise UserError(f'{_NUMBER}={number}: expected 0 to {int(count) - 1}, another on each host')
    return address, int(count), int(number)


def connect() -> None:
    """Connects this process with those of the other hosts, if there are any; before JAX has looked for devices.

    Waits until all are there.

    Raises
    ------
    UserError
        If the environment names hosts that cannot be, or they cannot be connected.
    """
    named = hosts_of_environment(os.environ)
    if named is None and not _is_cloud_tpu():
        return
    address, count, number = named or (None, None, None)
    if count == 1:
        return
    import jax

    if 'heartbeat_timeout_seconds' not in inspect.signature(jax.distributed.initialize).parameters:
        raise UserError(f'JAX {jax.__version__} is too old for several hosts; 0.10, on Python 3.11 or newer, is not')
    _begin_witness()
    # Without it, a process that ends waits for those that are lost.
    jax.config.update('jax_enable_recoverability', True)
    # It would handle SIGTERM in our place.
    jax.config.update('jax_enable_preemption_service', False)
    print(f'waiting until all {count or ""} hosts are there'.replace('  ', ' '), file=sys.stderr)
    # JAX waits where Python handles no signals, so let Ctrl-C end the process directly.
    handler = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        jax.distributed.initialize(
            address,
            count,
            number,
            initialization_timeout=_SECONDS_TO_MEET,
            heartbeat_timeout_seconds=_SECONDS_TO_NOTICE,
        )
    except (RuntimeError, ValueError) as error:
        raise UserError(f'the hosts cannot be connected: {" ".join(str(error).split())}') from None
    finally:
        signal.signal(signal.SIGINT, handler)
    atexit.register(_leave)


@contextlib.contextmanager
def noticing_lost_hosts() -> Iterator[None]:
    """Reports in one line that another host has ended; JAX raises it from any operation that was waiting."""
    import jax

    try:
        yield
    except (jax.errors.JaxRuntimeError, ValueError) as error:  # of compiled functions, and of what is put on devices
        if not any(sign in str(error) for sign in _SIGNS_OF_LOSS):
            raise
        atexit.unregister(_leave)
        raise UserError(_LOST) from None


def _leave() -> None:
    """Ends the connection, the first host last: JAX aborts the processes that are still connected to it.

    It waits for a host that has left without a word no longer than JAX would take to notice.
    """
    import jax
    from jax._src.distributed import global_state  # JAX has no other way to its store of keys and values.

    client, hosts, number = global_state.client, jax.process_count(), jax.process_index()
    assert client is not None
    with contextlib.suppress(jax.errors.JaxRuntimeError):
        if number:
            client.key_value_set(f'{_LEFT}/{number}', '')
        else:
            for other in range(1, hosts):
                client.blocking_key_value_get(f'{_LEFT}/{other}', _SECONDS_TO_NOTICE * 1000)
            time.sleep(_SECONDS_TO_DISCONNECT)
        jax.distributed.shutdown()


def _is_cloud_tpu() -> bool:
    has_chips = glob.glob('/dev/accel*') or glob.glob('/dev/vfio/[0-9]*')
    return bool(has_chips) and importlib.util.find_spec('libtpu') is not None


def _begin_witness() -> None:
    """Starts a process that says why this one ended if it cannot; what C++ writes goes to it, and not to the user."""
    log = tempfile.TemporaryFile()
    line = f'{sys.argv[0]}: {_LOST}'
    witness = subprocess.Popen(
        [sys.executable, '-S', '-c', _WITNESS, str(log.fileno()), line, *_SIGNS_OF_LOSS],
        stdin=subprocess.PIPE,
        pass_fds=[log.fileno()],
        start_new_session=True,  # Ctrl-C is not for it.
    )
    assert witness.stdin is not None
    # Before JAX disconnects, which may fail if others are lost.
    atexit.register(witness.communicate, b'ended')
    sys.stderr.flush()
    sys.stderr = open(os.dup(2), 'w', encoding='utf-8', errors='backslashreplace', buffering=1)
    os.dup2(log.fileno(), 2)
    faulthandler.enable(log)
