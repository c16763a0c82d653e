#compdef gctoken
# zsh completion of gctoken(1). As in bash, commands and options are read off what `gctoken --help`
# says, and the profiles are those that the daemon would show this user.

# _gctoken_help [COMMAND]: what it says of itself.
_gctoken_help() {
    $words[1] ${1:+$1} --help 2>/dev/null </dev/null
}

# _gctoken_takes OPTION [COMMAND]: whether a value follows it.
_gctoken_takes() {
    [[ $'\n'"$(_gctoken_help $2)" == *$'\n'"  $1 "[A-Z]* ]]
}

_gctoken_value() {
    case $1 in
    --profile) compadd -- ${(f)"$($words[1] $socket status --names 2>/dev/null </dev/null)"} ;;
    --color) compadd -- auto always never ;;
    --socket | --ca-file | --file | --output | --config) _files ;;
    --exec) _command_names -e ;;
    -d) compset -P @ && _files ;;
    *) _message 'a value' ;;
    esac
}

_gctoken() {
    local command= option= word help
    local -a socket described
    local -i i at=0

    for ((i = 2; i < CURRENT; i++)); do
        word=$words[i]
        case $word in
        --socket=*) socket=(--socket ${word#*=}) ;;
        --*=* | -d?*) ;;
        --)
            [[ $command == exec ]] || return 1
            words=("${(@)words[i+1,-1]}")
            ((CURRENT -= i))
            _normal
            return
            ;;
        -*)
            if _gctoken_takes $word $command; then
                ((i + 1 < CURRENT)) || option=$word
                [[ $word != --socket ]] || socket=(--socket ${words[i+1]})
                ((i++))
            fi
            ;;
        *)
            if [[ -z $command ]]; then
                command=$word
                at=$i
            fi
            ;;
        esac
    done
    if [[ -z $option && $PREFIX == --*=* ]]; then
        option=${PREFIX%%=*}
        compset -P 1 '*='
    fi
    if [[ -n $option ]]; then
        _gctoken_value $option
        return
    fi
    help=$(_gctoken_help $command)
    if [[ $PREFIX == -* ]]; then
        described=(${(f)"$(sed -nE 's/^  (--?[a-z-]+)( [A-Z]+)? +(.*)/\1:\3/p' <<<$help)"})
        _describe -o option described
    elif [[ -z $command || ($command == help && $at -eq CURRENT-1) ]]; then
        described=(${(f)"$(_gctoken_help | sed -nE 's/^  ([a-z]+) +([A-Z].*)/\1:\2/p')"})
        _describe command described
    elif [[ $command == api && $at -eq CURRENT-1 ]]; then
        compadd -M 'm:{a-z}={A-Z}' -- GET POST PUT PATCH DELETE HEAD
    elif [[ $command == completion && $at -eq CURRENT-1 ]]; then
        compadd -- bash zsh fish
    fi
}

# Run where it was loaded by its name, else made known.
if [[ $funcstack[1] == _gctoken ]]; then
    _gctoken "$@"
else
    compdef _gctoken gctoken
fi
