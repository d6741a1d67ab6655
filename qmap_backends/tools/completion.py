"""`qmap completion bash|zsh`: what the shell completes behind `qmap`, from the parser of the command line."""

import shlex

from qmap import EXECUTORS, FIELDS, PARAMETERS, REASONS, STATUSES, UNNEEDED, __version__
from qmap_backends.tools import manual

#: The function that completes. What it knows fills the places in capitals; in zsh, bashcompinit runs it.
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


def option_values(action):
    """Return the values of an option: words, or the name of what is looked up; '' for files and numbers."""
    if action.choices:
        return ' '.join(action.choices)
    return {'profile': '@profiles', 'status': '@statuses', 'set': parameter_words()}.get(action.dest, '')


def parameter_words():
    """Return how the parameters begin that are written KEY=VALUE."""
    return ' '.join(key + '=' for key in PARAMETERS)


def positional_words(path, parser, tools):
    """Return the words that a tool or an order takes beside options; '' for files.

    Args:
        path: TOOL, TOOL/ORDER, or '' for qmap itself
        parser: of the tool or order
        tools: names of all tools
    """
    words = list(subparsers(parser))
    if path == 'info':
        words += FIELDS
    elif path == 'control/set':
        words.append(parameter_words())
    elif path == 'help':
        words += [*manual.topics(), *(name for name in tools if name != 'help')]
    for action in parser._actions:
        if action.dest == 'shell':
            words += action.choices
    return ' '.join(words)


def value_rules(path, parser):
    """Yield the lines that say what stands behind the options of a tool or an order."""
    for action in parser._actions:
        if action.option_strings and action.nargs != 0:
            names = '|'.join('{},{}'.format(path, name) for name in action.option_strings)
            yield '        {}) words={} ;;'.format(names, shlex.quote(option_values(action)))


def word_rules(path, parser, tools):
    """Yield the lines that say which options and words a tool or an order takes; arguments as above."""
    names = (name for action in parser._actions for name in action.option_strings)
    options = ' '.join(name for name in names if name.startswith('--'))
    yield '                {},-*) words={} ;;'.format(path, shlex.quote(options))
    yield '                {},*) words={} ;;'.format(path, shlex.quote(positional_words(path, parser, tools)))


def script(parser, shell):
    """Return the text that a shell reads to complete.

    Args:
        parser: of the command line
        shell: 'bash' or 'zsh'
    """
    tools = subparsers(parser)
    orders = {'{}/{}'.format(name, order): made for name, tool in tools.items()
              for order, made in subparsers(tool).items()}
    known = [('', parser), *tools.items(), *orders.items()]
    text = FUNCTION
    for mark, value in (
            ('@EXECUTORS@', ' '.join(EXECUTORS)), ('@TOOLS@', '|'.join(tools)),
            ('@ORDERS@', '|'.join(orders)),
            ('@VALUES@', '\n'.join(line for path, made in known for line in value_rules(path, made))),
            ('@WORDS@', '\n'.join(line for path, made in known for line in word_rules(path, made, tools))),
            ('@STATUSES@', ' '.join([*(status.lower() for status in STATUSES), 'all', UNNEEDED, *REASONS]))):
        text = text.replace(mark, value)
    return '# qmap {}: completion for {}\n{}{}'.format(
        __version__, shell, ZSH if shell == 'zsh' else '', text.lstrip('\n'))
