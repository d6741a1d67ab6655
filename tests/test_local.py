"""The standalone executor: limits, packing, and the machine."""

import os
import re
import resource
import signal
import subprocess

import pytest
from conftest import ROOT, until
from test_runner import end_of, prepare

import qmap as module


def test_a_job_over_its_memory_fails_with_its_whole_tree(qmap):
    qmap.write('eat.py', 'x = bytearray(300 << 20)\nimport time\ntime.sleep(1000)\n')
    qmap.write('a.map', '[params]\nmemory = 100M\n[jobs]\n(sleep 1234 & {} eat.py; echo $?) & wait\n'.format(
        qmap.program[0]))
    result = qmap('submit', 'a.map', '--logs', 'out')
    assert result.code == 1 and 'memory limit exceeded: used ' in result.out
    info = qmap.info('out', '0')
    assert info['error_reason'] == 'memory' and '100M requested' in info['error']
    assert info['usage']['memory']['bytes'] > 100 << 20
    until(lambda: not running(qmap, '1234'))


def test_of_a_job_that_needs_less_than_qmap_itself_only_an_upper_bound_is_known(qmap):
    qmap.write('a.map', 'true\n{0} -c "x = bytearray(200 << 20)"\nfalse ## memory=64M\n'.format(qmap.program[0]))
    assert qmap('submit', 'a.map', '--logs', 'out').code == 1
    for id in '02':
        usage = qmap.info('out', id)['usage']['memory']
        assert usage['peak'] is usage['bytes'] is None and 5 << 20 < usage['below'] < 150 << 20
    usage = qmap.info('out', '1')['usage']['memory']
    assert usage['bytes'] > 200 << 20 and 'below' not in usage
    peaks = [line.split('\t')[1] for line in qmap('info', '-l', 'out', '-s', 'all', 'usage.memory.peak').lines[1:]]
    assert re.match(r'<\d+M$', peaks[0]) and re.match(r'2\d\d(\.\d)?M$', peaks[1]) and peaks[2][0] == '<'
    assert re.search(r'less than \d+M for 1 job', qmap('info', '-l', 'out', '--advise').out)
    qmap('control', '-l', 'out', 'retry', '2')
    assert qmap('reattach', '-l', 'out').code == 1
    earlier = qmap.info('out', '2')['attempts'][0]
    assert earlier['memory'] is None and earlier['memory_below'] > 5 << 20


def test_what_is_known_of_the_memory_of_a_job():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    largest = used.ru_maxrss * 1024
    assert largest > 1 << 20
    running = module.Running(None, {})
    assert running.most_memory(used) == {'memory': largest}    # an earlier driver started it
    running.memory.floor = largest
    assert running.most_memory(used) == {'memory_below': largest} and running.memory.seen() == {}
    running.memory.peak = largest // 2
    assert running.most_memory(used) == {'memory_below': largest} and running.memory.seen() == {}
    running.verdict = {'reason': 'memory'}    # what it was ended for is known
    assert running.most_memory(used) == {'memory': running.memory.peak}
    running.memory.peak, running.verdict = largest + 1, {}    # all its processes together
    assert running.most_memory(used) == running.memory.seen() == {'memory': largest + 1}


def test_the_peak_of_whoever_started_qmap_is_not_its_own(qmap):
    # ... and not its jobs': a notebook of some gigabytes must not hide what they need.
    code = 'import qmap, resource; print(qmap.own_peak(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)'
    qmap.write('large.py', 'import subprocess, sys\nx = bytearray(300 << 20)\n'
                           'subprocess.check_call([sys.executable, "-c", sys.argv[1]])\n')
    text = subprocess.check_output([qmap.program[0], 'large.py', code], cwd=qmap.folder,
                                   env=dict(os.environ, PYTHONPATH=ROOT))
    own, inherited = map(int, text.split())
    assert 5 << 20 < own < 150 << 20 and inherited > 300 << 20


def test_memory_shared_by_forks_counts_once(qmap):
    qmap.write('share.py', 'import os, time\nx = bytearray(60 << 20)\n'
                           'for _ in range(3):\n    if not os.fork():\n        time.sleep(1.5)\n        os._exit(0)\n'
                           'for _ in range(3):\n    os.wait()\n')
    qmap.write('a.map', '[params]\nmemory = 150M\n[jobs]\n{} share.py\n'.format(qmap.program[0]))
    assert qmap('submit', 'a.map', '--logs', 'out').code == 0


def test_a_process_that_has_ended_holds_no_memory():
    ended = subprocess.Popen(['true'])
    until(lambda: open('/proc/{}/stat'.format(ended.pid)).read().split()[2] == 'Z')
    assert module.proportional_memory(ended.pid) == 0
    ended.wait()
    assert module.proportional_memory(ended.pid) == 0
    assert module.proportional_memory(os.getpid()) > 1 << 20


def test_a_job_over_its_time_fails_with_its_whole_tree(qmap):
    qmap.write('a.map', '[params]\ntime = 1s\n[jobs]\nsleep 1234 & (sleep 1235); echo never\necho quick\n')
    result = qmap('submit', 'a.map', '--logs', 'out')
    assert result.code == 1 and '1 job: time limit exceeded (00:00:01)' in result.out
    assert qmap.info('out', '0')['error_reason'] == 'time' and qmap.read('out', '0.out') == ''
    assert qmap.statuses('out') == ['FAILED', 'COMPLETED']
    until(lambda: not running(qmap, '1234') and not running(qmap, '1235'))


def test_parents_stand_before_their_children_in_a_tree_of_processes():
    # ... also one that is its own session's and nobody's child, and whatever the numbers are.
    root = subprocess.Popen(
        ['bash', '-c', '((sleep 60; true) & ); (sleep 60; true); true'], start_new_session=True)
    try:
        until(lambda: len(module.Processes().tree(root.pid)) == 4)
        look = module.Processes()
        look._children = {pid: sorted(children, reverse=True) for pid, children in look._children.items()}
        look._sessions = {pid: sorted(others, reverse=True) for pid, others in look._sessions.items()}
        tree = look.tree(root.pid)
        below = [pid for pid in tree if look._parent[pid] in tree]
        assert len(below) == 2 and all(tree.index(look._parent[pid]) < tree.index(pid) for pid in below)
    finally:
        os.killpg(root.pid, signal.SIGKILL)
        root.wait()


def running(qmap, word):
    """Return the processes in the folder of this test with a word on their command line."""
    found = []
    for pid in os.listdir('/proc'):
        try:
            with open('/proc/{}/cmdline'.format(pid), errors='replace') as source:
                if word in source.read().split('\0') and os.readlink('/proc/{}/cwd'.format(pid)) == qmap.folder:
                    found.append(pid)
        except OSError:
            pass
    return found


@pytest.mark.slow
def test_the_time_limit_holds_for_adopted_jobs(qmap):
    qmap.write('a.map', '[params]\ntime = 3s\n[jobs]\necho begun; sleep 1000\n')
    process = qmap.start('submit', 'a.map', '--logs', 'out')
    until(lambda: os.path.exists(qmap.path('out', '0.out')) and qmap.read('out', '0.out'))
    process.kill()
    process.communicate()
    assert qmap('reattach', '-l', 'out').code == 1
    assert qmap.info('out', '0')['error_reason'] == 'time'


def test_a_job_larger_than_the_machine_is_refused_and_the_others_run(qmap):
    qmap.write('a.map', 'true ## cores=10000\ntrue ## memory=900T\ntrue\n')
    result = qmap('submit', 'a.map', '--logs', 'out')
    assert result.code == 1
    assert qmap.statuses('out') == ['FAILED', 'FAILED', 'COMPLETED']
    info = qmap.info('out', '0')
    assert info['error_reason'] == 'submit' and 'requests 10,000 cores; this machine has' in info['error']


@pytest.mark.skipif(module.machine_cores() < 2, reason='needs two cores')
def test_never_more_cores_at_once_than_the_machine_has(qmap):
    cores = module.machine_cores()
    large = 'echo + >>trace; sleep 0.1; echo - >>trace ## cores={}\n'.format(cores)
    qmap.write('a.map', large * 4 + 'sleep 0.01\n' * 4)
    assert qmap('submit', 'a.map', '-r', '8', '--logs', 'out').code == 0
    assert qmap.read('trace') == '+\n-\n' * 4


@pytest.mark.parametrize('cores', ['1', '0'])
def test_never_more_memory_at_once_than_the_machine_has(qmap, cores):
    memory = module.exact_memory(module.machine_memory() * 6 // 10)
    qmap.write('a.map', 'echo + >>trace; sleep 0.1; echo - >>trace\n' * 4)
    assert qmap('submit', 'a.map', '-c', cores, '-m', memory, '-r', '8', '--logs', 'out').code == 0
    assert qmap.read('trace') == '+\n-\n' * 4


def all_together(count):
    """Return a command that ends well only while so many of them run at once."""
    return 'touch here_${{QMAP_LINE}}; until [ $(ls here_* | wc -l) = {} ]; do sleep 0.05; done'.format(count)


def test_jobs_that_take_no_core_run_beside_others(qmap):
    # ... as many as are wanted, also beside one that takes all cores. Programs read 0 threads as all cores.
    count = module.machine_cores() + 6
    command = all_together(count) + '; echo $QMAP_CORES ${QMAP_CORES}'
    qmap.write('a.map', '{} ## cores={}\n'.format(command, module.machine_cores()) + (command + '\n') * (count - 1))
    result = qmap('submit', 'a.map', '-c', '0', '-t', '5m', '-r', str(count), '--logs', 'out')
    assert result.code == 0 and 'max running {},'.format(count) in result.out and 'warning' not in result.err
    last = str(count - 1)
    assert qmap.read('out', last + '.out') == '1 1\n' and qmap.info('out', last)['params']['cores'] == '0'
    assert 'requested 0 to {}; used'.format(module.machine_cores()) in qmap('info', '-l', 'out', '--advise').out


def test_of_jobs_that_take_no_core_as_many_run_as_on_a_cluster_unless_said(qmap, monkeypatch):
    monkeypatch.chdir(qmap.folder)
    qmap.write('a.map', 'true\n')

    def wanted(cores, memory=None, max_running=None):
        request = module.Request('a.map', max_running, None, 'local', {'cores': cores, 'memory': memory})
        return request.max_running, [text for text in request.warnings if 'max-running' in text]
    cores, half = module.machine_cores(), module.exact_memory(module.machine_memory() // 2)
    assert wanted('0') == (100, []) and wanted('0', max_running=5000) == (5000, [])
    assert wanted('0', half) == (2, []) and wanted('1') == (cores, [])
    assert 'room for 2 such jobs at once' in wanted('0', half, 9)[1][0]
    assert wanted('1', max_running=cores + 1)[1][0].endswith(' at once; if they only wait, give -c 0')


def test_a_cluster_gives_a_core_also_to_jobs_that_want_none_and_says_so(qmap, monkeypatch):
    qmap.write('a.map', 'true ## cores=2\ntrue ## cores=0\n')
    monkeypatch.chdir(qmap.folder)
    said, line = 'cores = 0: taken as 1, the least that a scheduler gives a job', 'a.map, line 2: '
    assert module.Request('a.map', profile='slurm').warnings == [line + said]
    assert module.Request('a.map', profile='slurm', params={'cores': '0'}).warnings == [said, line + said]
    assert module.Request('a.map', profile='local').warnings == []
    assert module.Request('a.map', profile='local', params={'cores': '0'}).warnings == []
    logs = module.Request('a.map', profile='slurm').create('out')
    for order in ['set', 'cores=0'], ['retry', '-c', '0']:
        assert said in qmap('control', '-l', 'out', *order).out
    plan = module.Plan(module.Logs(logs))
    assert module.cores_of({'cores': 0}, plan.on_cluster) == 1 and module.cores_of({'cores': 0}, False) == 0


def test_what_has_not_begun_can_be_told_to_take_no_core(qmap, monkeypatch):
    qmap.write('a.map', (all_together(5) + '\n') * 5)
    monkeypatch.chdir(qmap.folder)
    module.Request('a.map', 5, None, 'local', {'time': '5m'}).create('out')
    assert qmap('control', '-l', 'out', 'set', 'cores=0').out.startswith('cores = 0 for 5 unsubmitted jobs\n')
    assert qmap('reattach', '-l', 'out').code == 0


def test_what_a_cluster_has_nothing_for_is_said_with_the_line(qmap, monkeypatch):
    qmap.write('a.map', 'true ## account=lab\ntrue ## qos=high gpus=2\n')
    monkeypatch.chdir(qmap.folder)
    said = 'qos = high: Grid Engine has none, nothing is requested; set queue, or what this site has for it in extra'
    assert module.Request('a.map', profile='sge').warnings == ['a.map, line 2: ' + said]
    assert 'extra: -sla NAME' in module.Request('a.map', profile='lsf', params={'qos': 'low'}).warnings[0]
    assert module.Request('a.map', profile='slurm', params={'qos': 'low'}).warnings == []
    module.Request('a.map', profile='sge').create('out')
    assert said in qmap('control', '-l', 'out', 'set', 'qos=high').out


def using_devices(seconds):
    """Return a command that says its GPUs, and ends badly where another one has one of them."""
    return ('for d in ${{CUDA_VISIBLE_DEVICES//,/ }}; do mkdir "d$d" || exit 1; done; sleep {}; '
            'for d in ${{CUDA_VISIBLE_DEVICES//,/ }}; do rmdir "d$d"; done; '
            'echo $CUDA_VISIBLE_DEVICES $ROCR_VISIBLE_DEVICES $QMAP_GPUS\n').format(seconds)


def test_each_gpu_is_for_one_job_at_once(qmap):
    qmap.environ['CUDA_VISIBLE_DEVICES'] = '4, GPU-7,6,-1,9'
    command = using_devices(0.1)
    qmap.write('a.map', command * 6 + command.replace('\n', ' ## gpus=2\n') * 2)
    result = qmap('submit', 'a.map', '--set', 'gpus=1', '-c', '0', '--logs', 'out')
    assert result.code == 0 and 'max running 3,' in result.out
    said = [qmap.read('out', '{}.out'.format(number)).split() for number in range(8)]
    assert all(cuda == rocr and cuda.count(',') + 1 == int(count) for cuda, rocr, count in said)
    assert {name for cuda, _, _ in said for name in cuda.split(',')} == {'4', 'GPU-7', '6'}
    assert [count for _, _, count in said] == ['1'] * 6 + ['2'] * 2


def test_a_job_without_gpus_finds_the_environment_as_it_is(qmap):
    qmap.environ['CUDA_VISIBLE_DEVICES'] = '4,7'
    qmap.write('a.map', 'echo $CUDA_VISIBLE_DEVICES${ROCR_VISIBLE_DEVICES-}\n')
    assert qmap('submit', 'a.map', '--set', 'gpus=0', '--logs', 'out').code == 0
    assert qmap.read('out', '0.out') == '4,7\n'


def test_more_gpus_than_there_are_is_an_error_before_anything_is_made(qmap):
    qmap.environ['CUDA_VISIBLE_DEVICES'] = '4'
    qmap.write('a.map', 'true\ntrue ## gpus=2\n')
    result = qmap('submit', 'a.map', '--logs', 'out')
    assert (result.code, result.err) == (
        2, 'qmap: error: a.map, line 2: the job requests 2 GPUs; this machine has 1; request less\n')
    qmap.write('b.map', 'true\n')
    result = qmap('submit', 'b.map', '--set', 'gpus=3', '--logs', 'out')
    assert result.code == 2 and 'each job requests 3 GPUs; this machine has 1; request less' in result.err
    assert not os.path.exists(qmap.path('out'))
    qmap.environ['CUDA_VISIBLE_DEVICES'] = ''
    assert 'the command requests 1 GPU; this machine has none' in qmap('run', '--set', 'gpus=1', 'true').err


def test_gpus_of_adopted_jobs_stay_theirs(qmap):
    qmap.environ['CUDA_VISIBLE_DEVICES'] = '0,1,2'
    waits = 'touch here; until [ -e go ]; do sleep 0.05; done; echo $CUDA_VISIBLE_DEVICES ## gpus=2\n'
    qmap.write('a.map', waits + using_devices(0.05) * 4)
    process = qmap.start('submit', 'a.map', '-r', '1', '--set', 'gpus=1', '--logs', 'out')
    until(lambda: os.path.exists(qmap.path('here')))
    process.kill()
    process.communicate()
    second = qmap.start('reattach', '-l', 'out', '-r', '3')
    until(lambda: os.path.exists(qmap.path('out', '4.out')) and qmap.read('out', '4.out'))
    qmap.write('go', '')
    second.communicate()
    assert second.returncode == 0 and qmap.read('out', '0.out') == '0,1\n'
    assert {qmap.read('out', '{}.out'.format(number)) for number in range(1, 5)} == {'2 2 1\n'}


def test_gpus_of_the_machine(tmp_path, monkeypatch):
    for name in ('CUDA_VISIBLE_DEVICES', 'ROCR_VISIBLE_DEVICES'):
        monkeypatch.delenv(name, raising=False)
    tool = tmp_path / 'nvidia-smi'
    tool.write_text('#!/bin/bash\n[ "$*" = -L ] && printf "%s\\n" "GPU 0: A (UUID: GPU-1)" "  MIG 1g (UUID: MIG-1)" '
                    '"GPU 1: A (UUID: GPU-2)"\n')
    tool.chmod(0o755)
    monkeypatch.setenv('PATH', '{}:{}'.format(tmp_path, os.environ['PATH']))
    assert module.machine_devices() == ['0', '1']
    tool.write_text('#!/bin/bash\nexit 9\n')
    monkeypatch.setattr(module, 'nvidia_devices', lambda: ['nvidia0', 'nvidia1', 'nvidia2'])
    assert module.machine_devices() == ['0', '1', '2']
    assert module.device_variables(['2']) == {'CUDA_VISIBLE_DEVICES': '2', 'ROCR_VISIBLE_DEVICES': '2'}
    monkeypatch.setattr(module, 'nvidia_devices', lambda: [])
    monkeypatch.setattr(module, 'amd_devices', lambda: ['1', '2'])
    assert module.machine_devices() == ['0', '1']
    # HIP counts within what ROCm lets it see.
    assert module.device_variables(['1']) == {'CUDA_VISIBLE_DEVICES': '0', 'ROCR_VISIBLE_DEVICES': '1'}
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '-1')
    assert module.machine_devices() == []


def test_jobs_get_back_the_signals_that_python_ignores(qmap):
    qmap.write('a.map', 'yes | head -1 >/dev/null; echo ${PIPESTATUS[0]}\n')
    assert qmap('submit', 'a.map', '--logs', 'out').code == 0
    assert qmap.read('out', '0.out') == '141\n'


def test_what_a_job_leaves_in_the_background_ends_with_it(qmap):
    qmap.write('a.map', 'sleep 1236 & echo done\n')
    assert qmap('submit', 'a.map', '--logs', 'out').code == 0
    until(lambda: not running(qmap, '1236'))


def test_jobs_have_no_input_and_no_files_of_ours(qmap):
    qmap.write('a.map', 'cat; ls -l /proc/$$/fd | grep -c /\n')
    assert qmap('submit', 'a.map', '--logs', 'out').code == 0
    # 0, 1, 2, and bash's own for the script
    assert int(qmap.read('out', '0.out')) <= 4


def test_cpu_time_and_memory_are_known(qmap):
    qmap.write('burn.py', 'x = b"x" * (80 << 20)\nend = __import__("time").process_time() + 0.5\n'
                          'while __import__("time").process_time() < end: pass\n')
    qmap.write('a.map', '{} burn.py\n'.format(qmap.program[0]))
    assert qmap('submit', 'a.map', '--logs', 'out').code == 0
    usage = qmap.info('out', '0')['usage']
    assert 0.4 < usage['time']['cpu'] < 5 and usage['memory']['bytes'] > 80 << 20


def test_an_attempt_that_another_runner_has_claimed_is_not_run_again(tmp_path):
    logs = module.Logs(str(tmp_path / 'out'))
    logs.create()
    script = prepare(logs, 'task', 'echo ran >>{}/ran\nexit 3\n'.format(tmp_path))
    many = [subprocess.Popen(['bash', script]) for _ in range(8)]
    assert sorted(each.wait() for each in many) == [3] + [75] * 7
    assert (tmp_path / 'ran').read_text() == 'ran\n'
    assert end_of(logs)['exit_code'] == 3


@pytest.mark.slow
@pytest.mark.parametrize('number', [15, 2, 1])
def test_a_runner_that_is_told_to_end_passes_it_on_and_says_how_it_ended(tmp_path, number):
    logs = module.Logs(str(tmp_path / 'out'))
    logs.create()
    base = os.path.join(logs.path, '0')
    prepare(logs, 'task', 'trap "echo told; exit 9" {}\necho begun\nsleep 1000 & wait\n'.format(number))
    process = subprocess.Popen(['bash', logs.batch(1)], preexec_fn=os.setsid)
    until(lambda: os.path.exists(base + '.out') and open(base + '.out').read() == 'begun\n')
    process.send_signal(number)
    assert process.wait() == 9
    assert open(base + '.out').read() == 'begun\ntold\n'
    assert end_of(logs)['exit_code'] == 9


def test_a_process_is_told_from_a_later_one_with_its_number():
    assert module.birth(os.getpid()) == module.birth(os.getpid()) != ''
    assert module.birth(2 ** 30) == ''


@pytest.mark.slow
def test_runners_that_wait_for_a_slot_go_with_the_driver(qmap):
    qmap.write('a.map', 'echo ran >>ran_${QMAP_LINE}; sleep 0.5\n' * 30)
    process = qmap.start('submit', 'a.map', '-l', 'out', '-r', '2')
    until(lambda: os.path.exists(qmap.path('ran_09')))
    process.kill()
    process.communicate()
    scripts = os.path.join(qmap.path('out'), '.qmap', 'batch').encode()
    until(lambda: not [name for name in os.listdir('/proc') if name.isdigit() and scripts in words_of(name)])
    assert qmap('reattach', '-l', 'out').code == 0
    assert all(qmap.read('ran_{:02d}'.format(number)) == 'ran\n' for number in range(30))


def words_of(pid):
    """Return the command line of a process."""
    try:
        with open('/proc/{}/cmdline'.format(pid), 'rb') as source:
            return source.read()
    except OSError:
        return b''
