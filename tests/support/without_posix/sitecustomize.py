"""Takes away from a Python process what only POSIX systems have; Python runs this file if its folder is on the path.

Processes that the process starts are without it too. Libraries keep what they need to work on this system.
"""

import os
import signal
import sys
import warnings

_OF_OS = (
    'chown', 'fork', 'forkpty', 'getegid', 'geteuid', 'getgid', 'getpgid', 'killpg', 'mkfifo',
    'nice', 'sched_getaffinity', 'sched_setaffinity', 'setpgid', 'setsid', 'statvfs', 'sysconf',
)  # fmt: skip
_OF_SIGNAL = ('SIGALRM', 'SIGHUP', 'SIGKILL', 'SIGPIPE', 'SIGUSR1', 'pthread_kill', 'pthread_sigmask', 'setitimer')
_MODULES = ('fcntl', 'grp', 'pty', 'pwd', 'resource', 'termios', 'tty')
_OURS = ('beam_pipelines', 'trainer')

_rename = os.rename


def _rename_like_windows(source, target, **options):
    if os.path.exists(target) and not os.path.samefile(source, target):
        raise FileExistsError(17, 'Cannot create a file when that file already exists', source, 183, target)
    return _rename(source, target, **options)


def _refuse_proc(event: str, arguments: tuple) -> None:
    if event != 'open' or not str(arguments[0]).startswith(('/proc', '/dev', '/sys')):
        return
    frame = sys._getframe(1)
    while frame.f_back and frame.f_globals.get('__name__') in ('io', 'os', 'pathlib'):
        frame = frame.f_back
    if frame.f_globals.get('__name__', '').partition('.')[0] in _OURS:
        raise FileNotFoundError(2, 'No such file or directory', arguments[0])


for name in _OF_OS:
    vars(os).pop(name, None)
for name in _OF_SIGNAL:
    vars(signal).pop(name, None)
for name in _MODULES:
    sys.modules[name] = None  # as if it were not installed
os.rename = _rename_like_windows
sys.addaudithook(_refuse_proc)
# Set PYTHONWARNDEFAULTENCODING=1 too: a text file opened without an encoding is then an error.
warnings.filterwarnings('ignore', category=EncodingWarning)
warnings.filterwarnings('error', category=EncodingWarning, module='|'.join(_OURS))
