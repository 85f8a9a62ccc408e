"""The extras that setup.py offers."""

import ast
import re

from tests.support.places import ROOT


def extras_of_setup() -> dict[str, set[str]]:
    """Returns the packages that each extra asks for, without versions, by the extra's name."""
    setup = next(
        node.value
        for node in ast.parse((ROOT / 'setup.py').read_text()).body
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    )
    extras = ast.literal_eval(next(word.value for word in setup.keywords if word.arg == 'extras_require'))
    return {extra: {re.split(r'[ ;>=]', package)[0] for package in packages} for extra, packages in extras.items()}
