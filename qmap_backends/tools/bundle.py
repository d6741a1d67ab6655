"""`qmap bundle`: one file that carries qmap.py, qmap_backends and filelock.

What imports from such a file is `Carried` in qmap.py.
"""

import base64
import json
import os
import textwrap
import zlib
from importlib.util import find_spec

from qmap import Carried, FILE, FOLDER_MODE, QMapError, remove_file


def bundle(path):
    """Write one file that carries qmap.py, qmap_backends and filelock, to run and to import.

    Returns:
        list of the packages that it carries

    Raises:
        QMapError: it cannot be written
    """
    with open(FILE, encoding='utf-8') as lines:
        own, mark, rest = lines.read().partition('\nPAYLOAD = ')
    sources = {}
    carried = []
    for package in ('qmap_backends', 'filelock'):
        spec = find_spec(package)
        if spec is None:
            continue
        carried.append(package)
        if isinstance(spec.loader, Carried):
            sources.update((name, text) for name, text in spec.loader.sources.items()
                           if name.startswith(package + '/'))
            continue
        folder = os.path.dirname(spec.origin)
        for base, _, names in os.walk(folder):
            for name in names:
                if name.endswith(('.py', '.md')):    # modules, and the pages of the manual
                    with open(os.path.join(base, name), encoding='utf-8') as source:
                        sources[package + os.path.join(base, name)[len(folder):]] = source.read()
    payload = base64.b85encode(zlib.compress(json.dumps(sources, sort_keys=True).encode(), 9)).decode()
    rest = rest[rest.index('\nCARRIED'):]
    text = '{}{}"""\n{}\n"""\n{}'.format(own, mark, '\n'.join(textwrap.wrap(payload, 118)), rest)
    temporary = '{}.{}'.format(path, os.urandom(8).hex())
    try:
        with open(temporary, 'x', encoding='utf-8') as target:
            target.write(text)
            os.fchmod(target.fileno(), os.fstat(target.fileno()).st_mode | 0o111 & FOLDER_MODE)
        os.replace(temporary, path)
    except OSError as error:
        remove_file(temporary)
        raise QMapError('{}: {}'.format(path, error.strerror))
    return carried
