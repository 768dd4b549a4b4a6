#compdef daemonctx
# What has zsh complete daemonctx: `daemonctx completions zsh` prints it. To be a file _daemonctx in a folder of $fpath, or sourced.

_daemonctx_commands() {
    local -a commands=(
@COMMANDS@
    )
    _describe -t commands command commands
}

# The daemons that there may be.
_daemonctx_names() {
    local -a files=(/run/*.pid(N:t:r) ${XDG_RUNTIME_DIR:+$XDG_RUNTIME_DIR/*.pid(N:t:r)})
    _wanted daemons expl daemon compadd -a files
}

_daemonctx_owner() {
    if compset -P '*:'; then
        _groups
    else
        _users -S ''
    fi
}

_daemonctx_assignment() {
    if ! compset -P '*='; then
        _parameters -S = -g '*export*'
    fi
}

_daemonctx_variables() {
    _parameters -g '*export*'
}

@VALUES@
_daemonctx() {
    local curcontext=$curcontext state state_descr line
    typeset -A opt_args
    _arguments -C \
        '(- : *)'{-h,--help}'[Explain the commands]' \
        '(- : *)'{-V,--version}'[Print the version]' \
        '1: :_daemonctx_commands' \
        '*:: :->operands' && return
    [[ $state == operands ]] || return 1
    curcontext=${curcontext%:*}-$words[1]:
    case $words[1] in
@OPTIONS@
    esac
}

if [[ $funcstack[1] == _daemonctx ]]; then
    _daemonctx "$@"
else
    compdef _daemonctx daemonctx
fi
