# Completes daemonctx in bash, with the package bash-completion or without: `daemonctx completions bash` prints it.

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

# The program at place $1 of COMP_WORDS completes its own arguments.
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
    local words at cur place line mode lead breaks part= IFS=$' \t\n'
    COMPREPLY=()
    _daemonctx_words
    place=$((${#words[@]} - 1))
    cur=${words[place]}
    {
        read -r mode lead
        while IFS= read -r line; do
            COMPREPLY+=("${line%%$'\t'*}")
        done
    } < <(command daemonctx __complete "$place" "${words[@]}" 2>/dev/null)
    case $mode in
    program)
        _daemonctx_program "${at[lead]}"
        return
        ;;
    files | directories)
        while IFS= read -r line; do
            COMPREPLY+=("$lead$line")
        done < <(compgen "-${mode:0:1}" -- "${cur#"$lead"}")
        compopt -o filenames 2>/dev/null
        ;;
    esac
    # What stands before the last = or : may be another word to bash, and is not repeated.
    breaks=${COMP_WORDBREAKS//[^:=]/}
    [[ -z $breaks ]] || part=${cur%"${cur##*["$breaks"]}"}
    for place in "${!COMPREPLY[@]}"; do
        COMPREPLY[place]=${COMPREPLY[place]#"$part"}
    done
    [[ ${#COMPREPLY[@]} -ne 1 || ${COMPREPLY[0]} != *[:=] ]] || compopt -o nospace 2>/dev/null
}

complete -F _daemonctx daemonctx
