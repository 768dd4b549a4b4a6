#compdef daemonctx
# Completes daemonctx in zsh: `daemonctx completions zsh` prints it. Save it as _daemonctx in a directory of $fpath, or source it.

_daemonctx() {
    local mode line word
    local -a lines whole open
    lines=("${(@f)$(command daemonctx __complete $((CURRENT - 1)) "${(@)words[1,CURRENT]}" 2>/dev/null)}")
    mode=$lines[1]
    shift lines
    case $mode in
    program\ *)
        shift ${mode#program } words
        ((CURRENT -= ${mode#program }))
        _normal
        return
        ;;
    files\ * | directories\ *)
        [[ $mode == *\ ?* ]] && compset -P '*='
        if [[ $mode == files* ]]; then _files; else _directories; fi
        return
        ;;
    esac
    for line in $lines; do
        word=${${line%%$'\t'*}//:/\\:}
        [[ $line == *$'\t'?* ]] && line=$word:${line#*$'\t'} || line=$word
        if [[ $word == *[:=] ]]; then open+=($line); else whole+=($line); fi
    done
    _describe -t arguments argument whole -- open -S ''
}

if [[ $funcstack[1] == _daemonctx ]]; then
    _daemonctx "$@"
else
    compdef _daemonctx daemonctx
fi
