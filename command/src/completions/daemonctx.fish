# Completes daemonctx in fish: `daemonctx completions fish` prints it.

function __daemonctx_complete
    set -l words (commandline -opc)
    set -l token "$(commandline -ct)"
    set -l lines (command daemonctx __complete (count $words) $words $token 2>/dev/null)
    set -l mode (string split -m 1 ' ' -- $lines[1])
    switch $mode[1]
        case program
            # The program completes its own arguments.
            set -l own
            if test $mode[2] -lt (count $words)
                set own (string escape -- $words[(math $mode[2] + 1)..-1])
            end
            complete -C (string join ' ' -- $own $token)
        case files directories
            set -l path (string sub -s (math 1 + (string length -- "$mode[2]")) -- $token)
            for file in (complete -C "'' $path")
                if test $mode[1] = files; or string match -q '*/*' -- (string split -m 1 \t -- $file)[1]
                    printf '%s%s\n' $mode[2] $file
                end
            end
        case words
            printf '%s\n' $lines[2..-1]
    end
end

complete -c daemonctx -f -a '(__daemonctx_complete)'
