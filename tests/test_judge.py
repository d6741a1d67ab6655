"""What becomes of an attempt that has left the queue, or was ended by a signal: the table of cases of `judge`."""

import pytest

from qmap import END, RESUBMIT, UNSTARTABLE, VANISHED, WAIT, Evidence, Rules, judge

NOTHING = Evidence(begun=True, end=None, unread=False, alone=False, queue='', listed=False, dropped=False, output=None,
                   account={}, cancelled=False, tries=1, again=False)
SIGNAL = {'exit_code': 137}
SLURM, GRID_ENGINE = Rules(90, 20, False), Rules(90, 20, True)    # there, what cannot run stays in the queue


@pytest.mark.parametrize('verdict, waited, known, rules', [
    # It began, and left the queue without a word: its words may come late, and then it is lost.
    (WAIT, 89, {}, SLURM),
    (END, 90, {}, SLURM),
    (WAIT, 90, {'unread': True}, SLURM),
    (WAIT, 10000, {'account': None}, SLURM),    # accounts that do not answer prove nothing
    # The accounts know a reason that only the scheduler gives: no need to wait.
    (END, 0, {'account': {'reason': 'memory'}}, SLURM),
    (END, 0, {'account': {'reason': 'time'}}, SLURM),
    # Where another attempt will follow, they are waited for.
    (WAIT, 89, {'account': {'reason': 'node'}}, SLURM),
    (END, 90, {'account': {'reason': 'node'}}, SLURM),
    (WAIT, 89, {'account': {'reason': 'preempted'}}, SLURM),
    (END, 0, {'account': {'reason': 'preempted'}, 'end': SIGNAL}, SLURM),
    (END, 0, {'account': {'reason': 'cancelled'}}, SLURM),
    (WAIT, 0, {'account': {'reason': 'memory'}, 'unread': True}, SLURM),    # its own words count more
    (WAIT, 89, {'account': {'reason': 'exit'}}, SLURM),
    (WAIT, 89, {'account': {'reason': 'signal'}}, SLURM),
    # So does the output of its task; a queue is believed only after the grace.
    (END, 0, {'output': 'time'}, SLURM),
    (WAIT, 89, {'queue': 'time'}, SLURM),
    (END, 90, {'queue': 'time'}, SLURM),
    # A queue in which what cannot run stays, with its reason, is certain.
    (END, 0, {'queue': 'cancelled', 'listed': True, 'begun': False}, GRID_ENGINE),
    (WAIT, 0, {'queue': 'cancelled', 'listed': True, 'begun': False}, SLURM),
    (WAIT, 0, {'queue': 'cancelled', 'begun': False}, GRID_ENGINE),
    # What the job itself asks for keeps it from starting: another submission would end the same way.
    (END, 0, {'queue': UNSTARTABLE, 'listed': True, 'begun': False}, GRID_ENGINE),
    (END, 0, {'account': {'reason': UNSTARTABLE}, 'begun': False}, SLURM),
    (WAIT, 89, {'queue': UNSTARTABLE, 'begun': False}, SLURM),
    (END, 90, {'queue': UNSTARTABLE, 'begun': False}, SLURM),
    # It never began, and nobody says why: as if it had not been submitted, until it happens too often.
    (WAIT, 89, {'begun': False}, SLURM),
    (RESUBMIT, 90, {'begun': False}, SLURM),
    (RESUBMIT, 90, {'begun': False, 'account': {'reason': 'exit'}}, SLURM),    # of an older job with this id
    (RESUBMIT, 90, {'begun': False, 'queue': 'exit'}, SLURM),
    (RESUBMIT, 90, {'begun': False, 'tries': 3}, SLURM),
    (VANISHED, 90, {'begun': False, 'tries': 4}, SLURM),
    (RESUBMIT, 90, {'begun': False, 'tries': 4, 'again': True}, SLURM),
    (WAIT, 10000, {'begun': False, 'account': None}, SLURM),
    (END, 90, {'begun': False, 'queue': 'node'}, SLURM),
    # This execution cancelled it: certain once the queue or the accounts agree, or nothing came of it for a while.
    (END, 0, {'cancelled': True, 'queue': 'cancelled'}, SLURM),
    (END, 0, {'cancelled': True, 'account': {'reason': 'signal'}}, SLURM),
    (WAIT, 20, {'cancelled': True, 'begun': False}, SLURM),
    (END, 21, {'cancelled': True, 'begun': False}, SLURM),
    (WAIT, 21, {'cancelled': True}, SLURM),    # it began, and has still to say how it ended
    # Somebody else did: the accounts would tell where it had a node, and then nobody meant to.
    (WAIT, 20, {'begun': False, 'queue': 'cancelled'}, SLURM),
    (END, 21, {'begun': False, 'queue': 'cancelled'}, SLURM),
    (RESUBMIT, 90, {'begun': False, 'queue': 'cancelled', 'account': {'host': 'node1'}}, SLURM),
    # The queue has it no more, and still has what came with it: somebody has taken it out before it began.
    (WAIT, 89, {'begun': False, 'dropped': True}, SLURM),
    (END, 90, {'begun': False, 'dropped': True}, SLURM),
    (END, 90, {'begun': False, 'dropped': True}, GRID_ENGINE),
    (RESUBMIT, 90, {'begun': False, 'dropped': True, 'account': {'host': 'node1'}}, SLURM),    # it had a node
    # It has said that a signal ended it: who sent that may be told for a while.
    (WAIT, 19, {'end': SIGNAL}, SLURM),
    (END, 20, {'end': SIGNAL}, SLURM),
    (END, 0, {'end': SIGNAL, 'cancelled': True}, SLURM),
    (END, 0, {'end': SIGNAL, 'account': {'reason': 'memory'}}, SLURM),
    (END, 0, {'end': SIGNAL, 'queue': 'time'}, SLURM),
    (WAIT, 0, {'end': SIGNAL, 'account': None}, SLURM),
    (END, 20, {'end': SIGNAL, 'account': None}, SLURM),
    # Its worker went on: it was ended by itself, and nobody else will say more.
    (WAIT, 2, {'end': SIGNAL, 'alone': True}, SLURM),
    (END, 3, {'end': SIGNAL, 'alone': True}, SLURM),
])
def test_what_becomes_of_it(verdict, waited, known, rules):
    assert judge(NOTHING._replace(**known), waited, rules) == verdict
