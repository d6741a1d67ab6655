"""The worker: what a job of the scheduler runs that takes job after job from a list (`qmap submit --pull`).

It goes behind RUNNER of qmap.py, whose functions it calls, and is text for bash 4.2; @START@ stands for what starts a
job, @WAIT@ for the seconds for which it waits for another list.
"""

#: A worker: takes job after job from the list of its batch, and from those that follow for its crew, claiming each,
#: until none is left, its own time is nearly over, or somebody wants it to leave. A list holds the tasks (marked with =
#: where a subshell will do), the scripts and the seconds that each may run (0: whatever the worker has).
PULL = r"""
qmap_crew=$qmap_number qmap_run=$qmap_logs/.qmap/run qmap_over= qmap_limit=0 qmap_look=0
qmap_longest=0 qmap_most=0 qmap_peak=0 qmap_before='0m0s 0m0s' qmap_fresh=yes qmap_next=0 qmap_turn=()
qmap_worker=",\"crew\":$qmap_crew,\"k\":$qmap_k"
exec 3>&$qmap_err {qmap_err}>&-
qmap_err=3
qmap_now
qmap_since=${qmap_time%.*}
qmap_watch() {  # beside the worker: end the job at hand if that is cancelled
    # (The worker itself gets no signal for it: its bash could lose the status of a job that ends at the same moment.)
    local task base line pid file=$qmap_run/cancel.$qmap_crew.$qmap_k told=0 last=
    exec 3>&- 4>&- {qmap_tick}<> <(:)
    while read -t 5 -u $qmap_tick; kill -0 $$; do
        [ -e "$file" ] && read -r task base <"$file" || continue
        [ "$task" = "$last" ] || told=0 last=$task
        for line in /proc/[0-9]*/stat; do
            pid=${line//[^0-9]/}
            read -r line <"/proc/$pid/stat" || continue
            line=(${line##*) })
            # A child of the worker in a process group of its own is the job that has not said its end.
            [ "${line[1]}/${line[2]}" = "$$/$pid" ] && { [ "/proc/$pid/fd/1" -ef "$qmap_logs/$base.out" ] ||
                [ ! -e "$qmap_run/$task.end" ] && [ -e "$file" ]; } || continue
            if [ $((told++)) -lt 2 ]; then kill -TERM -- -$pid; else kill -KILL -- -$pid; fi
        done
    done
}
qmap_time_out() {  # beside a job with a time of its own: end it when that is over
    exec 3>&- 4>&- {qmap_tick}<> <(:)
    read -t $qmap_limit -u $qmap_tick
    qmap_now
    [ -e "$qmap_said.why" ] ||
        printf '{"reason": "time", "words": "time limit exceeded (%02d:%02d:%02d)", "time": %s}\n' \
            $((qmap_limit / 3600)) $((qmap_limit / 60 % 60)) $((qmap_limit % 60)) "$qmap_time" >"$qmap_said.why"
    kill -TERM -- -$qmap_job
    read -t 10 -u $qmap_tick
    kill -KILL -- -$qmap_job
}
qmap_plan() {  # what of the list to try next: this worker's own part, and then what others have left; 1 for nothing
    local i name rest=() count=$((${#qmap_tasks[@]} / 3))
    local -A taken=()
    qmap_turn=() qmap_next=0
    if [ -n "$qmap_fresh" ]; then
        qmap_fresh=
        for ((i = qmap_k - 1; i < count; i += qmap_workers)); do qmap_turn+=($i); done
        [ ${#qmap_turn[@]} = 0 ] || return 0
    fi
    for name in "$qmap_run"/*.start; do name=${name##*/}; taken[${name%.start}]=yes; done
    for ((i = 0; i < count; i++)); do
        name=${qmap_tasks[3*i]}
        [ -n "${taken[${name#=}]}" ] || rest+=($i)
    done
    i=$(((qmap_k - 1) * ${#rest[@]} / qmap_workers))    # not all at the same place
    qmap_turn=(${rest[@]:i} ${rest[@]:0:i})
    [ ${#qmap_turn[@]} -gt 0 ]
}
qmap_more() {  # the next list for this crew, 1 where none comes
    local try name number line next
    [ -z "$qmap_last" ] || return 1
    for ((try = 0; try < @WAIT@; try++)); do
        next=
        for name in "$qmap_logs"/.qmap/batch/*; do
            number=${name##*/}
            [[ $number =~ ^[0-9]+$ && $number -gt $qmap_number && ( -z $next || $number -lt $next ) ]] || continue
            read -r line <"$name" && [[ "$line " = "# crew $qmap_crew "* ]] && next=$number
        done
        if [ -n "$next" ] && qmap_read "$qmap_logs/.qmap/batch/$next"; then
            qmap_number=$next qmap_batch=$qmap_logs/.qmap/batch/$next qmap_fresh=yes
            return 0
        fi
        [ -z "$qmap_over$qmap_signal" ] || return 1
        sleep 1
    done
    return 1
}
qmap_read() {  # a list, if all of it is there
    local line whole= tasks=() last=
    while read -r line; do
        case $line in
            '# crew '*' last') last=yes ;;
            '# end') whole=yes ;;
            [!#]*) tasks+=($line) ;;
        esac
    done <"$1"
    [ -n "$whole" ] || return 1
    qmap_tasks=("${tasks[@]}") qmap_last=$last
}
# Neither this nor what watches over a job's time is a child of the worker, which has one at a time: where bash has lost
# the status of one, it would wait for the other.
qmap_watcher=$(qmap_watch >/dev/null & echo $!) qmap_try=0
# What was just made may not be seen from here for a while; later, a batch whose script is gone is over.
until { : <"$qmap_batch"; } || [ $((++qmap_try)) -ge 60 ] || [ -n "$qmap_signal" ]; do
    set -- "${qmap_batch%/*}"/.[q]*; sleep 1
done
while [ -z "$qmap_over$qmap_signal" ]; do
    if ! { : <"$qmap_batch"; }; then
        qmap_more || break
        continue
    fi
    if [ $qmap_next -ge ${#qmap_turn[@]} ]; then
        qmap_plan || qmap_more || break
        continue
    fi
    qmap_i=${qmap_turn[qmap_next++]}
    qmap_task=${qmap_tasks[3*qmap_i]} qmap_limit=${qmap_tasks[3*qmap_i+2]}
    qmap_now
    if [ ${qmap_time%.*} -ge $qmap_look ]; then
        qmap_look=$((${qmap_time%.*} + 5))
        if read -r qmap_most_k <"$qmap_run/home.$qmap_crew" && [ "$qmap_k" -gt "$qmap_most_k" ]; then
            qmap_over='sent home'
            break
        fi
    fi
    qmap_need=$((qmap_limit > 0 ? qmap_limit : qmap_longest + qmap_longest / 10))
    if [ $qmap_within -gt 0 ] &&
            [ $((qmap_since + qmap_within - ${qmap_time%.*})) -lt $((qmap_longest > 0 ? qmap_need + 5 : 0)) ]; then
        qmap_over='its time is nearly over'
        break
    fi
    qmap_claim "${qmap_task#=}" "$qmap_logs/${qmap_tasks[3*qmap_i+1]}"
    case $? in 0) ;; 74) qmap_over='cannot write'; break ;; *) continue ;; esac
    qmap_began=${qmap_time%.*}
@START@
    qmap_job=$! qmap_timer=
    [ $qmap_limit = 0 ] || qmap_timer=$(qmap_time_out >/dev/null & echo $!)
    qmap_wait $qmap_job
    [ -z "$qmap_timer" ] || kill -KILL $qmap_timer
    [ -z "$qmap_unbegun" ] || exit 254
    qmap_seconds=$((${qmap_time%.*} - qmap_began + 1))
    [ $qmap_seconds -le $qmap_longest ] || qmap_longest=$qmap_seconds
    # The cgroup is the worker's: the job's own peak is known where it is above all before.
    qmap_memory
    qmap_own=$((qmap_peak > qmap_most ? qmap_peak : 0))
    [ $qmap_own = 0 ] || qmap_most=$qmap_own
    until { times && printf '{"exit_code":%d,"time":%s,"memory":%d,"before":"%s"%s}\n' $qmap_status "$qmap_time" \
            "$qmap_own" "$qmap_before" "${qmap_left:+,\"left\":1}"; } >"$qmap_said.end" || ! qmap_room; do :; done
    qmap_before=
    { read -r qmap_line && read -r qmap_before; } <"$qmap_said.end"
done
if [ -z "$qmap_last" ] || { : <"$qmap_batch"; }; then    # else nobody waits for this word
    printf '{"why":"%s","signal":"%s"}\n' "${qmap_over:-no job is left}" "$qmap_signal" \
        >"$qmap_run/left.$qmap_crew.$qmap_k"
fi
kill -KILL $qmap_watcher
exit 0
"""
