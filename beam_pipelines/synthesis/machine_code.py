"""Machine code that is compiled once per installation and kept in the user's cache folder.

numba takes seconds to be imported and to compile. So what it makes is kept as an object file, which llvmlite loads in
some milliseconds, and which needs neither numba nor Python while it runs. The file's name depends on all that its
content depends on: the sources, the versions of the compilers, and the processor with its features. So a folder may be
shared by machines that differ. A file that is damaged, half written or of another user is not loaded but made anew.
"""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import hashlib
import importlib.metadata
import os
import pathlib
import stat
from collections.abc import Callable, Sequence

import numpy as np
import platformdirs

from beam_pipelines.storage.atomic_files import staged

_DIGEST_BYTES = hashlib.sha256().digest_size


@dataclasses.dataclass(frozen=True)
class Compiled:
    """What numba has compiled: the optimised LLVM assembly of a module, and the function's name in it."""

    assembly: str
    name: str


class Function:
    """A function in machine code that returns nothing; it runs without Python's global lock.

    Parameters
    ----------
    code : an object file that holds the function ``name``.
    name : of the function.
    """

    def __init__(self, code: bytes, name: str):
        from llvmlite import binding

        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        machine = binding.Target.from_triple(_triple()).create_target_machine(jit=True)
        self._engine = binding.create_mcjit_compiler(binding.parse_assembly(''), machine)  # owns the code
        self._engine.add_object_file(binding.ObjectFileRef.from_data(code))
        self._engine.finalize_object()
        self._call = ctypes.CFUNCTYPE(None)(self._engine.get_function_address(name))

    def __call__(self, *arguments: int | np.ndarray) -> None:
        """Calls the function with whole numbers of 64 bits, and with the addresses of arrays."""
        self._call(
            *(
                ctypes.c_int64(argument) if isinstance(argument, int) else ctypes.c_void_p(argument.ctypes.data)
                for argument in arguments
            )
        )


@functools.cache
def has_instruction(feature: str) -> bool:
    """Whether this machine's processor has a feature, by LLVM's name, and there is a compiler for it."""
    try:
        from llvmlite import binding
    except ImportError:
        return False
    return binding.get_host_cpu_features().get(feature, False)


def load(name: str, sources: Sequence[pathlib.Path], compile_it: Callable[[], Compiled | None]) -> Function | None:
    """Returns a function from the cache folder, or compiles it and keeps it there if that is possible.

    Parameters
    ----------
    name : of the function.
    sources : the files that its machine code depends on.
    compile_it : compiles it; returns None if it cannot be compiled.

    Returns
    -------
    The function; None if it cannot be compiled.
    """
    kept = os.path.join(platformdirs.user_cache_dir('sero-spikes', appauthor=False), f'{name}-{_key(sources)}.o')
    code = _read(kept)
    if code is None:
        compiled = compile_it()
        code = _object_code(compiled, name) if compiled else None
        if code is None:
            return None
        _keep(kept, code)
    return Function(code, name)


def _key(sources: Sequence[pathlib.Path]) -> str:
    from llvmlite import binding

    digest = hashlib.sha256()
    for source in (pathlib.Path(__file__), *sources):
        digest.update(source.read_bytes())
    versions = [_version(package) for package in ('llvmlite', 'numba')]
    digest.update(' '.join([*versions, _triple(), binding.get_host_cpu_name(), _features()]).encode())
    return digest.hexdigest()[:32]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return 'none'


def _features() -> str:
    from llvmlite import binding

    return binding.get_host_cpu_features().flatten()


def _triple() -> str:
    from llvmlite import binding

    # What llvmlite loads is ELF everywhere.
    return binding.get_process_triple() + ('-elf' if os.name == 'nt' else '')


def _object_code(compiled: Compiled, name: str) -> bytes | None:
    """Returns an object file with the function under a name; None if it would call anything of Python or numba."""
    from llvmlite import binding

    machine = binding.Target.from_triple(_triple()).create_target_machine(
        cpu=binding.get_host_cpu_name(), features=_features(), opt=3, reloc='pic', codemodel='jitdefault', jit=True
    )
    module = binding.parse_assembly(compiled.assembly)
    module.get_function(compiled.name).name = name
    # numba's function is wrapped in one that reports its errors to Python. With all else internal, LLVM finds that
    # there can be no error, and removes that.
    for own in (*module.functions, *module.global_variables):
        if own.name != name and not own.is_declaration:
            own.linkage = 'internal'
    passes = binding.create_pass_builder(machine, binding.create_pipeline_tuning_options(speed_level=3))
    passes.getModulePassManager().run(module, passes)
    outside = [*module.functions, *module.global_variables]
    if any(own.is_declaration and not own.name.startswith('llvm.') for own in outside):
        return None
    return machine.emit_object(module)


def _read(path: str) -> bytes | None:
    """Returns the code in a file; None if there is none, it is damaged, or another user could have written it."""
    try:
        with open(path, 'rb') as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                return None
            if not _is_ours(status):
                return None
            content = file.read()
    except OSError:
        return None
    digest, code = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    return code if hashlib.sha256(code).digest() == digest else None


def _is_ours(status: os.stat_result) -> bool:
    """Whether a file belongs to this user and only this user may write it; Windows protects the folder instead."""
    user = getattr(os, 'getuid', None)
    return user is None or (status.st_uid == user() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def _keep(path: str, code: bytes) -> None:
    """Writes code for the next process; without a cache folder that can be written, each compiles for itself."""
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with staged(path) as temporary:
            # Whatever the umask is: what others may write is not loaded.
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, 'wb') as file:
                file.write(hashlib.sha256(code).digest() + code)
    except OSError:
        return
