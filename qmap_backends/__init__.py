"""What a lone qmap.py can do without: accounts, reasons in plain words, the load of the cluster and commands
in a terminal, for Slurm, Grid Engine and LSF, a module each; the tools, in `tools`; and the manual.

The verbs of the three schedulers (submit, find, poll, cancel, limits) stand in qmap.py, in the chapter
*Schedulers*. A module here has a subclass that knows more, as BACKEND, and `load_backend` of qmap.py takes it
where it is. How the three write sizes, times and loads has much in common, and is read here.
"""

import re

# job_environment tells to which copy of qmap.py all this belongs: `import_beside`
from qmap import MEMORY_UNITS, job_environment    # noqa: F401


def read_size(text, base=1024):
    """Return the bytes in '3188K', '1.50G', '381.891MB' or '522 Mbytes', None where it is something else.

    Args:
        text: number and unit; without a unit it is bytes
        base: by how much a unit is larger than the one below
    """
    match = re.match(r'(\d+(?:\.\d+)?)\s*([KMGTP]?)(?:B|bytes?|[nc]+)?$', text.strip(), re.IGNORECASE)
    if not match:
        return None
    power = MEMORY_UNITS.index(match.group(2).upper()) + 1 if match.group(2) else 0
    return int(float(match.group(1)) * base ** power)


def read_clock(text):
    """Return the seconds in '[[days-][hours:]minutes:]seconds[.fraction]', of which parts may be empty, or
    None where it is something else."""
    if not re.search(r'\d', text):
        return None
    days, _, clock = text.rpartition('-')
    seconds = 0
    for part in clock.split(':'):
        if not re.match(r'\d*(?:\.\d+)?$', part):
            return None
        seconds = seconds * 60 + float(part or 0)
    if not re.match(r'\d*$', days):
        return None
    return seconds + int(days or 0) * 86400


def cluster_load(nodes, cores, busy, mine):
    """Return the dict of `Backend.usage`.

    Args:
        nodes: those that are up
        cores: of all nodes
        busy, mine: cores that are in use, and in use by this user
    """
    percent = 100.0 / max(1, cores)
    return {'nodes': nodes, 'used': percent * busy, 'mine': min(100.0, percent * mine)}
