"""Numbers that need no timing: ``python -P measure_once.py SCRIPT`` prints what its measure() returns.

Runs inside the environment of a revision and imports nothing of this package. A script that belongs to a
package is imported as its module, and nothing else of the tree can be: the installed revision is measured.
"""

import importlib.util
import json
import sys
from pathlib import Path


def load(name, path, **options):
    """Import a file under a name, without a search path."""
    spec = importlib.util.spec_from_file_location(name, path, **options)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main():
    script = Path(sys.argv[1])
    sys.dont_write_bytecode = True  # the script's folder stays as it was
    package = script.parent / "__init__.py"
    name = script.stem
    if package.is_file():
        load(script.parent.name, package, submodule_search_locations=[str(script.parent)])
        name = f"{script.parent.name}.{name}"
    module = load(name, script)
    print(json.dumps({str(key): float(number) for key, number in module.measure().items()}))


if __name__ == "__main__":
    main()
