# Completions of clerk-token for fish.

# True if the command is one of those given, or, without any, if there is none yet.
function __clerk_token_is
    set -l words (commandline -opc)
    set -l skip 1
    for word in $words
        if test $skip = 1
            set skip 0
            continue
        end
        switch $word
            case --
                break
            case --socket --min-ttl --wait --expires-in --not --write --uid --gid --unit
                set skip 1
            case '-*'
            case '*'
                contains -- $word $argv
                return
        end
    end
    test (count $argv) = 0
end

# True where the program that exec runs is being written.
function __clerk_token_in_program
    __clerk_token_is exec; and contains -- -- (commandline -opc)
end

function __clerk_token_program
    set -l words (commandline -opc)
    set -l at (contains -i -- -- $words)
    complete -C (string join ' ' -- (string escape -- $words[(math $at + 1)..]) (commandline -ct))
end

function __clerk_token_units
    systemctl list-units --all --full --plain --no-legend --no-pager --type=service 2>/dev/null | string replace -r ' .*' ''
end

complete -c clerk-token -f
complete -c clerk-token -n __clerk_token_in_program -a '(__clerk_token_program)'

complete -c clerk-token -n __clerk_token_is -a get -d 'Print a valid token'
complete -c clerk-token -n __clerk_token_is -a watch -d 'Print the token, and each that replaces it'
complete -c clerk-token -n __clerk_token_is -a exec -d 'Run a program with the token in $CLERK_TOKEN'
complete -c clerk-token -n __clerk_token_is -a drop -d "Have the daemon forget a session's tokens"
complete -c clerk-token -n __clerk_token_is -a flush -d 'Have the daemon forget everything'
complete -c clerk-token -n __clerk_token_is -a why -d 'Tell whether you may have a token'
complete -c clerk-token -n __clerk_token_is -a ping -d 'Does the daemon answer?'
complete -c clerk-token -n __clerk_token_is -a stats -d "Print the daemon's statistics as JSON"
complete -c clerk-token -n __clerk_token_is -a top -d 'Show how the daemon is doing'
complete -c clerk-token -n __clerk_token_is -a doctor -d 'Say what is wrong and what to do'

complete -c clerk-token -n 'not __clerk_token_in_program' -l json -d 'Print JSON, messages too'
complete -c clerk-token -n 'not __clerk_token_in_program' -l socket -rF -d "The daemon's socket"
complete -c clerk-token -n 'not __clerk_token_in_program' -l help -d 'Print how the program is used'
complete -c clerk-token -n 'not __clerk_token_in_program' -l version -d 'Print the version'

set -l gets '__clerk_token_is; or __clerk_token_is get watch exec; and not __clerk_token_in_program'
complete -c clerk-token -n $gets -l min-ttl -x -d 'The least life that the token must have left, in seconds'
complete -c clerk-token -n $gets -l wait -x -d 'How long to wait for Clerk, in milliseconds'
complete -c clerk-token -n $gets -l expires-in -x -d 'The lifetime to ask Clerk for, in seconds'
complete -c clerk-token -n $gets -l not -x -d 'The token of that id was refused'
complete -c clerk-token -n '__clerk_token_is; or __clerk_token_is watch' -l write -rF -d 'Keep the token in a file'
complete -c clerk-token -n '__clerk_token_is; or __clerk_token_is top' -l once -d 'Print it once, as plain text'

set -l why '__clerk_token_is; or __clerk_token_is why'
complete -c clerk-token -n $why -l uid -xa '(__fish_complete_users)' -d 'Ask about that user and his groups'
complete -c clerk-token -n $why -l gid -xa '(__fish_complete_groups)' -d 'Ask about that group too'
complete -c clerk-token -n $why -l unit -xa '(__clerk_token_units)' -d 'Ask about a systemd unit'
