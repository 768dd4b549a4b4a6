# What has fish complete daemonctx: `daemonctx completions fish` prints it.

# Prints the command, and which word its first operand is, where one has been said before the cursor.
function __daemonctx_parse
    set -l words (commandline -opc)
    printf '%s\n' $words[2]
    set -l place 3
    while test $place -le (count $words)
        set -l word $words[$place]
        if test "$word" = --
            math $place + 1
            return
        else if string match -qr -- '^(--(@LONG@)|-[^-@SHORT@]*[@SHORT@])$' $word
            set place (math $place + 1)
        else if not string match -q -- '-?*' $word
            printf '%s\n' $place
            return
        end
        set place (math $place + 1)
    end
end

# Whether it is one of these commands, and no operand of it has been said.
function __daemonctx_wants
    set -l parsed (__daemonctx_parse)
    contains -- "$parsed[1]" $argv
    and not set -q parsed[2]
end

# The same where what is at the cursor is this command's own, and not a program's.
function __daemonctx_is
    set -l parsed (__daemonctx_parse)
    contains -- "$parsed[1]" $argv
    and begin
        not set -q parsed[2]
        or not contains -- "$parsed[1]" @EXECUTE@
    end
end

function __daemonctx_has_no_command
    test (count (commandline -opc)) -eq 1
end

function __daemonctx_executes
    set -l parsed (__daemonctx_parse)
    contains -- "$parsed[1]" @EXECUTE@
    and begin
        set -q parsed[2]
        or not string match -q -- '-*' (commandline -ct)
    end
end

# The program completes what is its own.
function __daemonctx_program
    set -l parsed (__daemonctx_parse)
    set -l words (commandline -opc)
    set -l own
    if set -q parsed[2]; and test $parsed[2] -le (count $words)
        set own (string escape -- $words[$parsed[2]..-1])
    end
    complete -C (string join ' ' -- $own (commandline -ct))
end

# The daemons that there may be.
function __daemonctx_names
    set -l folders /run
    set -q XDG_RUNTIME_DIR
    and set -a folders $XDG_RUNTIME_DIR
    for file in $folders/*.pid
        string replace -r '^.*/(.*)\.pid$' '$1' -- $file
    end
end

function __daemonctx_owner
    set -l token (commandline -ct | string replace -r '^--[a-z-]*=' '')
    if string match -q '*:*' -- $token
        set -l user (string replace -r ':.*' '' -- $token)
        printf '%s\n' $user:(__fish_complete_groups | string replace -r '\t.*' '')
    else
        __fish_complete_users
    end
end

complete -c daemonctx -f
complete -c daemonctx -n __daemonctx_has_no_command -s h -l help -d 'Explain the commands'
complete -c daemonctx -n __daemonctx_has_no_command -s V -l version -d 'Print the version'
complete -c daemonctx -n __daemonctx_executes -a '(__daemonctx_program)'
@COMMANDS@
@OPTIONS@
