r"""``sero-simulate``: writes simulated recordings as real ABF files, with the ground truth beside them.

    sero-simulate --output_dir recordings --profile demo
    sero-simulate --output_dir recordings_paper --profile paper --seed 1
    sero-simulate --output_dir gs://bucket/recordings

``demo`` is 40 cells in ``original`` and 20 in ``non_homogeneous``, 30 s each (150 MB). ``paper`` is 153 and 81, about
100 s each (1.9 GB). Its ``original`` cells have the names, the 23 days and the numbers of spikes of the published ones,
so the day tells the class of 138 of them; nothing else about them is real. ``SIMULATED.json`` holds the parameters
and every spike's position. The recordings are for trying out the software; results on them say nothing about neurons.

With --waveforms, the mean spikes of real neurons (in CSV files, see ``beam_pipelines/simulation/mean_spikes.py``), it
writes recordings of real spike shapes under simulated noise, and ``REAL_SHAPES.json``. The types of these neurons are
known, but they are not raphe neurons:

    sero-simulate --output_dir recordings --waveforms juxtacellular --pair E,FS+SOM
"""

from absl import flags, logging

from beam_pipelines.cli.command import refuse_arguments, run_command
from beam_pipelines.errors import UsageError
from beam_pipelines.simulation.recordings import PROFILES, simulate


def define_flags() -> None:
    """Defines the command's flags; not at import, so that several commands can be imported side by side."""
    flags.DEFINE_string(
        'output_dir', None, 'Recordings root to write: a folder that is empty or does not exist yet.', required=True
    )
    flags.DEFINE_enum('profile', 'demo', list(PROFILES), 'How much to simulate.')
    flags.DEFINE_integer('seed', 0, 'Seed; the same seed gives the same bytes.', lower_bound=0, upper_bound=2**63 - 1)
    flags.DEFINE_string('waveforms', None, 'Folder with the mean spikes of real neurons, in place of --profile.')
    flags.DEFINE_string('pair', 'E,FS', 'With --waveforms: the types of neuron that play SER and NSER, of E, FS, SOM.')


def main(argv: list[str]) -> int:
    """Runs the command with parsed flags; returns its exit status."""
    refuse_arguments(argv)
    if flags.FLAGS.waveforms is not None:
        root: object = _make_of_real_shapes()
    elif flags.FLAGS['pair'].present:
        raise UsageError('--pair goes with --waveforms')
    elif '://' in flags.FLAGS.output_dir:
        if not flags.FLAGS['verbosity'].present:
            logging.set_verbosity(logging.ERROR)  # Beam logs every optional package that it does not find.
        # Imported here because only this branch needs Beam, which takes a second to import.
        from beam_pipelines.simulation.upload import simulate_into

        root = simulate_into(flags.FLAGS.output_dir, flags.FLAGS.profile, flags.FLAGS.seed)
    else:
        root = simulate(flags.FLAGS.output_dir, flags.FLAGS.profile, flags.FLAGS.seed)
    print(root)
    return 0


def _make_of_real_shapes() -> object:
    from beam_pipelines.simulation.real_shapes import make_recordings

    if flags.FLAGS['profile'].present:
        raise UsageError('--profile does not go with --waveforms')
    if '://' in flags.FLAGS.output_dir:
        raise UsageError('--waveforms takes a local --output_dir')
    return make_recordings(flags.FLAGS.output_dir, flags.FLAGS.waveforms, flags.FLAGS.pair, flags.FLAGS.seed)


def run() -> None:
    """Runs the command."""
    define_flags()
    run_command('sero-simulate', __name__)


if __name__ == '__main__':
    run()
