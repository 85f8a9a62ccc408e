"""Downloads Flink and its Beam job server from Maven Central."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

from beam_pipelines.errors import UserError

BEAM_FLINK = '1.19'  # as Beam's --flink_version
_FLINK = '1.19.3'
_FLINK_JARS = (
    ('org.apache.flink', 'flink-clients', _FLINK),
    ('org.apache.flink', 'flink-streaming-java', _FLINK),
    ('org.slf4j', 'slf4j-simple', '1.7.36'),
)

# If Maven Central has no job server for this Beam, the newest runner with all its dependencies there replaces it.
_OTHER_RUNNER = ('org.apache.beam', f'beam-runners-flink-{BEAM_FLINK}', '2.62.0')
_JOB_SERVER_CLASS = 'org.apache.beam.runners.flink.FlinkJobServerDriver'

_MANIFEST_LINE_BYTES = 70


@dataclasses.dataclass(frozen=True)
class FlinkJars:
    """The jars that a cluster needs.

    Attributes
    ----------
    cluster : class path of Flink's own processes.
    job_server : the jar of Beam's job server, for ``java -jar``.
    job_server_is : its description for the user.
    """

    cluster: str
    job_server: pathlib.Path
    job_server_is: str


def get_jars(folder: pathlib.Path) -> FlinkJars:
    """Downloads the jars into a folder, unless they are there.

    Raises
    ------
    UserError
        If Java or Maven is missing, or Maven Central cannot be reached.
    """
    for program in ('java', 'mvn'):
        if not shutil.which(program):
            raise UserError(f'{program}: not found; apt-get install openjdk-17-jre-headless maven')
    cluster = _with_dependencies(folder / f'flink-{_FLINK}', _FLINK_JARS)
    beam = importlib.metadata.version('apache-beam')
    name = f'beam-runners-flink-{BEAM_FLINK}-job-server'
    jar = folder / f'{name}-{beam}.jar'
    none = jar.with_suffix('.none')
    if not jar.exists() and not none.exists():
        copied = _maven(
            folder, 'dependency:copy', f'-Dartifact=org.apache.beam:{name}:{beam}', f'-DoutputDirectory={folder}'
        )
        if 'find artifact' in copied.stdout:
            none.touch()
        elif copied.returncode:
            raise UserError(f'{name} {beam}: Maven could not get it: {_first_error(copied)}')
    if jar.exists():
        return FlinkJars(f'{cluster}/*', jar, f'{name} {beam}')
    parts = _with_dependencies(folder / f'beam-flink-{_OTHER_RUNNER[2]}', (_OTHER_RUNNER,))
    jar = folder / f'job-server-{_OTHER_RUNNER[2]}.jar'
    _write_starter(jar, parts)
    what = f'{_OTHER_RUNNER[1]} {_OTHER_RUNNER[2]}, because Maven Central has no {name} {beam} here'
    return FlinkJars(f'{cluster}/*', jar, what)


def _with_dependencies(folder: pathlib.Path, artifacts: tuple[tuple[str, str, str], ...]) -> pathlib.Path:
    """Returns a folder that holds artifacts and their dependencies."""
    if folder.exists():
        return folder
    dependencies = ''.join(
        f'<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId><version>{version}</version></dependency>'
        for group, name, version in artifacts
    )
    project = folder.with_name(f'{folder.name}.getting')
    shutil.rmtree(project, ignore_errors=True)
    project.mkdir(parents=True)
    (project / 'pom.xml').write_text(
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>local</groupId>'
        f'<artifactId>jars</artifactId><version>1</version><dependencies>{dependencies}</dependencies></project>'
    )
    got = _maven(project, 'dependency:copy-dependencies', '-DincludeScope=runtime', '-DoutputDirectory=jars')
    if got.returncode:
        wanted = ', '.join(f'{name} {version}' for _, name, version in artifacts)
        raise UserError(f'{wanted}: Maven could not get it: {_first_error(got)}')
    os.rename(project / 'jars', folder)
    shutil.rmtree(project)
    return folder


def _maven(folder: pathlib.Path, *arguments: str) -> subprocess.CompletedProcess:
    command = ['mvn', '--batch-mode', '--quiet', *arguments]
    print(f'getting jars: {" ".join(command)}', file=sys.stderr)
    return subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _first_error(maven: subprocess.CompletedProcess) -> str:
    errors = (line.partition('] ')[2] for line in maven.stdout.splitlines() if 'ERROR' in line)
    return next(errors, f'status {maven.returncode}')


def _write_starter(jar: pathlib.Path, parts: pathlib.Path) -> None:
    """Writes a jar that holds only a manifest, which names the class to start and its jars."""
    class_path = ' '.join(f'{parts.name}/{path.name}' for path in sorted(parts.glob('*.jar')))
    lines = ['Manifest-Version: 1.0', f'Main-Class: {_JOB_SERVER_CLASS}', f'Class-Path: {class_path}']
    wrapped = []
    for line in lines:
        wrapped.append(line[:_MANIFEST_LINE_BYTES])
        rest = line[_MANIFEST_LINE_BYTES:]
        step = _MANIFEST_LINE_BYTES - 1
        wrapped.extend(f' {rest[start : start + step]}' for start in range(0, len(rest), step))
    with zipfile.ZipFile(jar, 'w') as content:
        content.writestr('META-INF/MANIFEST.MF', '\r\n'.join([*wrapped, '', '']))
