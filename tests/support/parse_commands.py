"""Parses commands of one program with its own parser: python -m tests.support.parse_commands MODULE < commands.json

Standard input is a list of lists of arguments; standard output the list of what is wrong with each, or null.
"""

import importlib
import json
import sys

from absl import flags

from trainer.config import parse_flags, read_config


def _fault(arguments: list[str]) -> str | None:
    flags.FLAGS.unparse_flags()
    for name in list(flags.FLAGS):
        if name.startswith('config.'):  # of the config of the command before
            delattr(flags.FLAGS, name)
        else:
            flags.FLAGS[name].unparse()
    sys.argv[1:] = arguments  # ml_collections looks there for the fields of a config
    try:
        if 'config' in flags.FLAGS:
            parse_flags(sys.argv)
            read_config()
        else:
            flags.FLAGS(sys.argv)
    except (Exception, SystemExit) as error:  # whatever is wrong is for the test to say
        return f'{type(error).__name__}: {error}'
    return None


def main() -> None:
    module = importlib.import_module(sys.argv[1])
    define_flags = getattr(module, 'define_flags', None)
    if define_flags:
        define_flags()
    json.dump([_fault(arguments) for arguments in json.load(sys.stdin)], sys.stdout)


if __name__ == '__main__':
    main()
