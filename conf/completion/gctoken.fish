# fish completion of gctoken(1). As in bash, commands and options are read off what `gctoken --help`
# says, and the profiles are those that the daemon would show this user.

# The command on the line up to the cursor; fails where there is none yet.
function __gctoken_command
    set -l takes (gctoken --help 2>/dev/null | string replace -rf '^  (--[a-z-]+) [A-Z]+ .*' '$1')
    set -l skip no
    for word in (commandline -opc)[2..-1]
        if test $skip = yes
            set skip no
            continue
        end
        switch $word
            case '-*'
                contains -- $word $takes; and set skip yes
            case '*'
                echo $word
                return 0
        end
    end
    return 1
end

function __gctoken_commands
    gctoken --help 2>/dev/null | string replace -rf '^  ([a-z]+) +([A-Z].*)' '$1\t$2'
end

function __gctoken_options
    gctoken (__gctoken_command) --help 2>/dev/null | string replace -rf '^  (--?[a-z-]+)(?: [A-Z]+)? +(.*)' '$1\t$2'
end

function __gctoken_has
    contains -- $argv[1] (__gctoken_options | string split -f1 \t)
end

function __gctoken_profiles
    set -l socket (string match -rg -- '--socket[= ](\S+)' (commandline -pc))
    test -n "$socket"; and set socket --socket $socket
    gctoken $socket status --names 2>/dev/null
end

# Whether the command is this one, and none of its words is there yet.
function __gctoken_first_word_of
    test "$(__gctoken_command)" = $argv[1]; and test (commandline -opc)[-1] = $argv[1]
end

complete -c gctoken -f
complete -c gctoken -n 'not __gctoken_command' -a '(__gctoken_commands)'
complete -c gctoken -n '__gctoken_first_word_of help' -a '(__gctoken_commands)'
complete -c gctoken -n '__gctoken_first_word_of api' -a 'GET POST PUT PATCH DELETE HEAD'
complete -c gctoken -n '__gctoken_first_word_of completion' -a 'bash zsh fish'
complete -c gctoken -n 'string match -q -- "-*" (commandline -ct)' -a '(__gctoken_options)'
complete -c gctoken -l profile -x -a '(__gctoken_profiles)'
complete -c gctoken -l color -x -a 'auto always never'
complete -c gctoken -l socket -r -F
complete -c gctoken -n '__gctoken_has --exec' -l exec -x -a '(__fish_complete_command)'
for option in ca-file file output config
    complete -c gctoken -n "__gctoken_has --$option" -l $option -r -F
end
complete -c gctoken -n '__gctoken_command; and contains -- -- (commandline -opc)' -x -a '(__fish_complete_subcommand --commandline (string split -f2 -- " -- " (commandline -cp)))'
