# bash completion of gctoken(1). Commands and options are read off what `gctoken --help` says, and the
# profiles are those that the daemon would show this user, so that nothing has to be kept in step.
# shellcheck shell=bash disable=SC2207 # no word that is offered has white space

# _gctoken_help [COMMAND]: what it says of itself.
_gctoken_help() {
    "${COMP_WORDS[0]}" ${1:+"$1"} --help 2>/dev/null </dev/null
}

_gctoken_profiles() {
    local -a socket=()

    [[ -z $1 ]] || socket=(--socket "$1")
    "${COMP_WORDS[0]}" "${socket[@]}" status --names 2>/dev/null </dev/null
}

# A word that bash has broken at "=" is put together again: words is the line up to the cursor, and
# prefix what COMPREPLY must not repeat of the last one.
_gctoken_words() {
    local word
    local -i i

    words=()
    for ((i = 1; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if ((i > 1)) && [[ $word == "=" && ${words[-1]} == --* ||
            ${COMP_WORDS[i - 1]} == "=" && ${words[-1]} == --*= ]]; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
    done
}

_gctoken() {
    local command='' current option='' broker='' help takes word
    local -a words
    local -i i command_at=-1

    COMPREPLY=()
    _gctoken_words
    current=${words[-1]}
    # The command is the first word that is neither an option nor an option's argument.
    takes=$(_gctoken_help | sed -nE 's/^  (--[a-z-]+) [A-Z]+ .*/\1/p')
    for ((i = 0; i < ${#words[@]} - 1; i++)); do
        word=${words[i]}
        case $word in
        --socket=*) broker=${word#*=} ;;
        --*=* | -d?*) ;;
        --)
            ((command_at >= 0)) || return
            [[ $command == exec ]] || return
            _gctoken_other_command "$((i + 1))"
            return
            ;;
        -*)
            if [[ $word == -d || $'\n'$takes$'\n' == *$'\n'"$word"$'\n'* ]]; then
                [[ $word != --socket ]] || broker=${words[i + 1]}
                option=$word
                ((i++))
            fi
            ;;
        *)
            if ((command_at < 0)); then
                command=$word
                command_at=$i
                takes=$(_gctoken_help "$command" | sed -nE 's/^  (--?[a-z-]+) [A-Z]+ .*/\1/p')
            fi
            ;;
        esac
    done
    # The loop steps over an option's argument: it is what stands at the cursor if it went too far.
    ((i == ${#words[@]})) || option=
    if [[ $current == --*=* ]]; then
        option=${current%%=*}
        current=${current#*=}
    fi

    case $option in
    --profile) COMPREPLY=($(compgen -W "$(_gctoken_profiles "$broker")" -- "$current")) ;;
    --color) COMPREPLY=($(compgen -W 'auto always never' -- "$current")) ;;
    --socket | --ca-file | --file | --output | --config) compopt -o default ;;
    --exec) COMPREPLY=($(compgen -c -- "$current")) ;;
    -d)
        [[ $current == @* ]] || return
        compopt -o filenames -o nospace
        COMPREPLY=($(compgen -P @ -f -- "${current#@}"))
        ;;
    ?*) ;; # a number, a name: nothing to offer
    *)
        help=$(_gctoken_help "$command")
        if [[ $current == -* ]]; then
            COMPREPLY=($(compgen -W "$(sed -nE 's/^  (--?[a-z-]+) .*/\1/p' <<<"$help")" -- "$current"))
        elif [[ -z $command ]] || { [[ $command == help ]] && ((command_at == ${#words[@]} - 2)); }; then
            COMPREPLY=($(compgen -W "$(_gctoken_help | sed -nE 's/^  ([a-z]+) +[A-Z].*/\1/p')" -- "$current"))
        elif [[ $command == api ]] && ((command_at == ${#words[@]} - 2)); then
            COMPREPLY=($(compgen -W 'GET POST PUT PATCH DELETE HEAD' -- "${current^^}"))
        elif [[ $command == completion ]] && ((command_at == ${#words[@]} - 2)); then
            COMPREPLY=($(compgen -W 'bash zsh fish' -- "$current"))
        fi
        ;;
    esac
}

# What comes behind "exec --" is completed as if it stood alone, where bash-completion is loaded; else
# as the name of a command and then of files.
_gctoken_other_command() {
    local -i at=$1 # counted in words behind gctoken

    if declare -F _command_offset >/dev/null; then
        _command_offset "$((at + 1))"
    elif ((at == ${#words[@]} - 1)); then
        COMPREPLY=($(compgen -c -- "${words[-1]}"))
    else
        compopt -o default
    fi
}

complete -F _gctoken gctoken
