"""What the shell completes behind `qmap`: `qmap completion bash|zsh`, made from the parser of the command line."""

import shlex

from qmap import EXECUTORS, FIELDS, PARAMETERS, REASONS, STATUSES, __version__
from qmap_backends.tools import manual

#: The function that completes. What it knows stands in the places in capitals; of zsh, bashcompinit lets it run.
FUNCTION = r"""
_qmap_profiles() {
    local folder file
    echo @EXECUTORS@
    for folder in "$QMAP_HOME" "${XDG_CONFIG_HOME:-$HOME/.config}/qmap"; do
        [ -n "$folder" ] || continue
        for file in "$folder"/*.conf; do
            file=${file##*/} && file=${file%.conf}
            case $file in '*'|default) ;; *) echo "$file" ;; esac
        done
    done
}

_qmap() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} tool= order= word= words= before= i
    COMPREPLY=()
    if [ "$cur" = = ]; then
        cur=
    elif [ "$prev" = = ]; then
        prev=${COMP_WORDS[COMP_CWORD-2]}
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
            @TOOLS@) [ -n "$tool" ] || { tool=$word; continue; } ;;
        esac
        case $tool/$word in
            @ORDERS@) [ -n "$order" ] || order=/$word ;;
        esac
    done
    case $tool$order,$prev in
@VALUES@
        *)
            case $tool$order,$cur in
@WORDS@
            esac ;;
    esac
    case $words in
        @profiles) words=$(_qmap_profiles) ;;
        @statuses)
            words='@STATUSES@'
            case $cur in *,*) before=${cur%,*}, ;; esac ;;
    esac
    [ -z "$words" ] || COMPREPLY=($(compgen -P "$before" -W "$words" -- "${cur#"$before"}"))
}
complete -o default -F _qmap qmap qmap.py
"""

#: What makes zsh ready for it.
ZSH = """\
autoload -U +X compinit && { (( $+functions[compdef] )) || compinit; }
autoload -U +X bashcompinit && bashcompinit
"""


def subparsers(parser):
    """Return {name: parser} of the tools or orders below a parser."""
    for action in parser._actions:
        if isinstance(action.choices, dict):
            return action.choices
    return {}


def values(action):
    """Return what may stand behind an option: words, or the name of what is looked up; '' for files or numbers."""
    if action.choices:
        return ' '.join(action.choices)
    return {'profile': '@profiles', 'status': '@statuses'}.get(action.dest, '')


def positional(path):
    """Return the words that a tool or an order takes beside options; '' for files."""
    fields = ' '.join(FIELDS)
    keys = ' '.join(key + '=' for key in PARAMETERS)
    return {'info': fields, 'help': ' '.join(manual.topics()), 'control/set': keys}.get(path, '')


def script(parser, shell):
    """Return the text that a shell reads to complete.

    Args:
        parser: of the command line
        shell: 'bash' or 'zsh'
    """
    tools = subparsers(parser)
    known = [('', parser)]
    for name, tool in tools.items():
        known.append((name, tool))
        known += [('{}/{}'.format(name, order), made) for order, made in subparsers(tool).items()]
    after, words = [], []
    for path, made in known:
        options = [action for action in made._actions if action.option_strings]
        for action in options:
            if action.nargs != 0:
                after.append('        {}) words={} ;;'.format(
                    '|'.join('{},{}'.format(path, name) for name in action.option_strings),
                    shlex.quote(values(action))))
        names = ' '.join(name for action in options for name in action.option_strings if name.startswith('--'))
        words.append('                {},-*) words={} ;;'.format(path, shlex.quote(names)))
        below = list(subparsers(made)) + positional(path).split()
        below += [choice for action in made._actions if not action.option_strings and action.dest == 'shell'
                  for choice in action.choices]
        if path == 'help':
            below += [name for name in tools if name != 'help']
        words.append('                {},*) words={} ;;'.format(path, shlex.quote(' '.join(below))))
    orders = ['{}/{}'.format(name, order) for name, tool in tools.items() for order in subparsers(tool)]
    text = FUNCTION
    for mark, value in (
            ('@EXECUTORS@', ' '.join(EXECUTORS)), ('@TOOLS@', '|'.join(tools)), ('@ORDERS@', '|'.join(orders)),
            ('@VALUES@', '\n'.join(after)), ('@WORDS@', '\n'.join(words)),
            ('@STATUSES@', ' '.join(status.lower() for status in STATUSES) + ' all ' + ' '.join(REASONS))):
        text = text.replace(mark, value)
    return '# qmap {}: completion for {}\n{}{}'.format(
        __version__, shell, ZSH if shell == 'zsh' else '', text.lstrip('\n'))
