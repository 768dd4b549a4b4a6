# What has bash complete daemonctx, with the package bash-completion or without: `daemonctx completions bash` prints it.

# The line's words as the shell will see them: bash breaks them at = and : as well. Sets words, and at: where each begins in COMP_WORDS.
_daemonctx_words() {
    local line=${COMP_LINE:0:COMP_POINT} word gap place last
    words=() at=()
    for ((place = 0; place <= COMP_CWORD; place++)); do
        word=${COMP_WORDS[place]}
        gap=${line%%[![:space:]]*}
        line=${line#"$gap"}
        ((place < COMP_CWORD)) || word=$line
        line=${line#"$word"}
        if [[ -z $gap ]] && ((place > 0)); then
            last=$((${#words[@]} - 1))
            words[last]+=$word
        else
            words+=("$word") at+=("$place")
        fi
    done
}

# Whether an option is followed by a value in the next word.
_daemonctx_takes_value() {
    local letters
    case $1 in
    --*=*) return 1 ;;
    --*) _daemonctx_has_value "$1" ;;
    *)
        letters=${1#-}
        while [[ ${#letters} -gt 1 ]]; do
            _daemonctx_has_value "-${letters:0:1}" && return 1
            letters=${letters:1}
        done
        _daemonctx_has_value "-$letters"
        ;;
    esac
}

_daemonctx_has_value() {
    case $1 in
    @WITH_VALUE@) return 0 ;;
    *) return 1 ;;
    esac
}

# What may stand behind option $1, when $2 of it is there.
_daemonctx_values() {
    case $1 in
@VALUES@
    esac
}

_daemonctx_files() { compgen -f -- "$1"; }
_daemonctx_directories() { compgen -d -- "$1"; }
_daemonctx_groups() { compgen -g -- "$1"; }
_daemonctx_owner() {
    case $1 in
    *:*) compgen -g -P "${1%%:*}:" -- "${1#*:}" ;;
    *) compgen -u -- "$1" ;;
    esac
}
_daemonctx_variables() { compgen -e -- "$1"; }
_daemonctx_assignment() { [[ $1 == *=* ]] || compgen -e -S = -- "$1"; }
_daemonctx_one_of() {
    local word
    for word in $2; do
        [[ $word != "$1"* ]] || printf '%s\n' "$word"
    done
}

# The daemons that there may be.
_daemonctx_names() {
    local file
    for file in /run/*.pid ${XDG_RUNTIME_DIR:+"$XDG_RUNTIME_DIR"/*.pid}; do
        file=${file##*/} file=${file%.pid}
        [[ $file == '*' || $file != "$1"* ]] || printf '%s\n' "$file"
    done
}

# The program at place $1 of COMP_WORDS completes what is its own.
_daemonctx_program() {
    if declare -F _comp_command_offset >/dev/null; then
        _comp_command_offset "$1"
    elif declare -F _command_offset >/dev/null; then
        _command_offset "$1"
    elif (($1 == COMP_CWORD)); then
        compopt -o filenames 2>/dev/null
        COMPREPLY=($(compgen -c -- "$cur"))
    else
        compopt -o default 2>/dev/null
    fi
}

_daemonctx() {
    local words at cur place word value_of= lead= breaks part= reply IFS=$' \t\n'
    local command= options='@COMMON@' operands='@COMMANDS@'
    COMPREPLY=()
    _daemonctx_words
    cur=${words[${#words[@]} - 1]}
    for ((place = 1; place < ${#words[@]} - 1; place++)); do
        word=${words[place]}
        if [[ -z $command ]]; then
            command=$word
            case $command in
@OPTIONS@
            *) return ;;
            esac
        elif [[ $word == -- && $operands == PROGRAM ]]; then
            _daemonctx_program "${at[place + 1]}"
            return
        elif [[ $word == -?* ]]; then
            if _daemonctx_takes_value "$word"; then
                value_of=$word
                ((++place))
            fi
        elif [[ $operands == PROGRAM ]]; then
            _daemonctx_program "${at[place]}"
            return
        else
            operands=
        fi
    done
    if [[ -n $value_of ]] && ((place == ${#words[@]})); then
        [[ $value_of == --* ]] || value_of=-${value_of: -1}
        word=$cur
    elif [[ $cur == --*=* ]]; then
        value_of=${cur%%=*} lead=${cur%%=*}= word=${cur#*=}
    else
        value_of=
    fi
    if [[ -n $value_of ]]; then
        _daemonctx_take _daemonctx_values "$value_of" "$word"
    elif [[ $cur == -* ]]; then
        _daemonctx_take _daemonctx_one_of "$cur" "$options"
    elif [[ $operands == PROGRAM ]]; then
        _daemonctx_program "${at[${#words[@]} - 1]}"
        return
    elif [[ $operands == NAME ]]; then
        _daemonctx_take _daemonctx_names "$cur"
    else
        _daemonctx_take _daemonctx_one_of "$cur" "$operands"
    fi
    # What stands before the last = or : may be another word to bash, and not to be said again.
    breaks=${COMP_WORDBREAKS//[^:=]/}
    [[ -z $breaks ]] || part=${cur%"${cur##*["$breaks"]}"}
    for place in "${!COMPREPLY[@]}"; do
        reply=$lead${COMPREPLY[place]}
        COMPREPLY[place]=${reply#"$part"}
    done
}

# Sets COMPREPLY to the lines that a function prints.
_daemonctx_take() {
    local line
    while IFS= read -r line; do
        COMPREPLY+=("$line")
    done < <("$@")
    # Of the shell's own, not of the subshell that printed them.
    case $1:$2 in
    _daemonctx_values:@FILES@) compopt -o filenames 2>/dev/null ;;
    esac
    [[ ${#COMPREPLY[@]} -ne 1 || ${COMPREPLY[0]} != *[:=] ]] || compopt -o nospace 2>/dev/null
}

complete -F _daemonctx daemonctx
