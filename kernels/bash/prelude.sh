# What a new shell is told before its first cell. Names that begin with __kgw are the kernel's.
#
# The shell is an interactive one that has no terminal: there an interrupt, or an error that would end a script, ends
# the command and leaves the shell. Its fd 0 is where the kernel's lines come from; cells have 241 and 242 as stdout and
# stderr. What is to be told goes into 244, and what is answered comes from 245.
#
# A cell is one file with one group in it, so that it is read as a whole before any of it runs.
#
# What ends the shell all the same (an unset variable with `set -eu`, `builtin exit`) meets the trap of EXIT, by which a
# new bash takes over: the same process, so the same children, directory, descriptors and environment, and all that can
# be written down of the rest. 243 is where it finds the kernel's lines.

# All that is here goes by `builtin`, as cells can give every other name to something else. A function of that name, and
# `enable -n` of what is needed, are undone whenever the kernel's functions begin.
__kgw_mend() {
    __kgw_depth=''
    if { \builtin eval '__kgw_depth=${#FUNCNAME[@]}'; } >/dev/null 2>&1; then __kgw_option=''; fi
    if [[ $__kgw_depth != "${#FUNCNAME[@]}" ]]; then
        __kgw_options=:$BASHOPTS:
        # There `unset` is found before a function of that name. It changes options.
        if [[ -o posix ]]; then \unset -f builtin enable; else
            POSIXLY_CORRECT=1
            \unset -f builtin enable
            \unset POSIXLY_CORRECT
        fi
        \enable builtin
        for __kgw_option in inherit_errexit shift_verbose expand_aliases interactive_comments sourcepath; do
            if [[ $__kgw_options == *:"$__kgw_option":* ]]; then
                \builtin shopt -s "$__kgw_option"
            else
                \builtin shopt -u "$__kgw_option"
            fi
        done
    fi
    \builtin enable . : alias cd compgen continue declare eval exec exit jobs kill local printf read return set shift \
        shopt trap type unset
}
__kgw_mend
\builtin set +H +o history -E
\builtin shopt -s extglob
\builtin unset PS1 PS2 HISTFILE
__kgw_status='' __kgw_last=0 __kgw_moved='' __kgw_user_err='' __kgw_user_exit='' __kgw_busy='' __kgw_exit='' __kgw_has_int='' __kgw_user_int='' __kgw_errexit='' __kgw_stopped='' __kgw_called=''
__kgw_failed=() __kgw_tail=() __kgw_stack=()
__kgw_s=$'\x1f'
# Sends what follows to the kernel as one line.
__kgw_say() {
    \builtin local IFS="$__kgw_s"
    \builtin local line="$*"
    [[ -p /dev/fd/244 ]] || \builtin return 1
    # What somebody else may have left there ends so.
    \builtin printf '\n%s\n' "${line//$'\n'/ }" >&244
}

# A cell is called ./cell-N, and is read from a folder elsewhere: so its own name leads to the directory that it runs in.
__kgw_in() {
    __kgw_mend
    __kgw_status='' __kgw_moved='' __kgw_exit='' __kgw_stopped='' __kgw_failed=() __kgw_tail=()
    __kgw_cell=$__kgw_dir/cell-$1
    if [[ -x ${PWD-} && . -ef ${PWD-} ]]; then
        __kgw_pwd=$PWD __kgw_old=${OLDPWD-} __kgw_had_old=${OLDPWD+1}
        if \builtin cd -- "$__kgw_dir"; then __kgw_moved=1 __kgw_cell=./cell-$1; fi
    fi
    BASH_ARGV0=$__kgw_cell __kgw_busy=1
    \builtin trap "$__kgw_trap" ERR
    \builtin trap "$__kgw_at_exit" EXIT
    \builtin trap __kgw_stop 63
    if [[ -z $__kgw_has_int ]]; then \builtin trap __kgw_stop INT; fi
}

__kgw_back() {
    if [[ -n $__kgw_moved ]]; then
        __kgw_moved=''
        \builtin cd -- "$__kgw_pwd" || \builtin :
        if [[ -n $__kgw_had_old ]]; then OLDPWD=$__kgw_old; else \builtin unset OLDPWD; fi
    fi
    # So that a cell finds in $? how the last one ended.
    if [[ $- != *e* ]]; then \builtin return "$__kgw_last"; fi
}

# The end of a cell, by the number that it was given: whatever became of it, this is the next line that is read.
__kgw_out() {
    __kgw_mend
    __kgw_last=${__kgw_status:-${__kgw_tail[0]:-$2}}
    if [[ -n $__kgw_moved ]]; then __kgw_back || \builtin :; fi
    if [[ -n $__kgw_has_int ]]; then \builtin trap -- "$__kgw_user_int" INT; fi
    __kgw_busy=''
    if [[ ! -p /dev/fd/241 || ! -p /dev/fd/242 ]]; then __kgw_say lost && \builtin return 0; fi
    __kgw_say "$1" "$__kgw_last" "${PWD-}" "${#__kgw_tail[@]}" "${__kgw_tail[@]}" "${__kgw_failed[@]}" || __kgw_give_up
    if [[ -n $__kgw_errexit ]]; then __kgw_errexit=''; \builtin set -e; fi
}

# Nothing can be told any more, which is told by the end.
__kgw_give_up() {
    \builtin trap - EXIT
    \builtin exit 73
}

# A command has failed where nothing looks at its status: `set -e` would end the shell now, and the cell ends instead.
__kgw_trap='{ __kgw_err "$?" "$LINENO" "$BASH_COMMAND" "${PIPESTATUS[@]}"; } 2>/dev/null || \builtin eval "$__kgw_user_err" || \builtin :; { [[ -n $__kgw_stopped$__kgw_exit ]]; } 2>/dev/null && __kgw_leave "${__kgw_stopped:-$__kgw_exit}"'
# Whether there is no handler of the user's to be run; if there is, it finds the status in $?.
__kgw_err() {
    __kgw_mend
    __kgw_exit=''
    if [[ $BASH_SUBSHELL == 0 ]]; then
        if [[ $- == *e* ]]; then __kgw_exit=$1; fi
        if [[ -n $__kgw_stopped || $3 == *__kgw_* ]]; then \builtin return 0; fi
        __kgw_note "$@"
    fi
    if [[ -n $__kgw_user_err ]]; then \builtin return "$1"; fi
}

# Keeps what failed and where; of a function that failed because something in it did, the innermost.
__kgw_note() {
    \builtin local status="$1" line="$2" command="${3//$__kgw_s/ }" missing='' i
    \builtin shift 3
    case ${FUNCNAME[2]-} in display | display_file | trap) \builtin return ;; esac
    if [[ $command == '\builtin return "$status"' ]]; then command=$__kgw_called; fi
    if [[ ${__kgw_failed[0]-} == "$status" && ${__kgw_failed[2]-} == "${command:0:500}" ]] &&
        ((${#FUNCNAME[@]} < ${__kgw_failed[4]-0})); then
        \builtin return
    fi
    if [[ $status == 127 && ${command%% *} != *[!A-Za-z0-9_./+-]* ]]; then
        \builtin type -t -- "${command%% *}" >/dev/null || missing=${command%% *}
    fi
    __kgw_stack=()
    for ((i = 2; i < ${#FUNCNAME[@]} && i < 10; i++)); do
        __kgw_stack+=("${FUNCNAME[i]}" "${BASH_SOURCE[i]}" "$((i == 2 ? line : BASH_LINENO[i - 1]))")
    done
    __kgw_failed=("$status" "$line" "${command:0:500}" "${missing:0:200}" "${#FUNCNAME[@]}" "$#" "${!#}" "${__kgw_stack[@]}")
}

__kgw_is() {
    \builtin return "$1"
}

# What the user's trap of EXIT is for, once; `$?` is the status there.
__kgw_run_exit() {
    \builtin local handler="$__kgw_user_exit"
    __kgw_user_exit=''
    if [[ -n $handler ]]; then
        __kgw_is "$1"
        \builtin eval "$handler"
    fi
}

# The shell ends.
__kgw_at_exit='__kgw_bye "$?" "$@"'
__kgw_bye() {
    __kgw_mend
    \builtin trap - ERR EXIT
    \builtin local set options wanted
    set=$(\builtin set +o)
    \builtin set +eux
    __kgw_status=$1
    if [[ -n $__kgw_busy ]]; then __kgw_run_exit "$1"; fi
    # It found no more lines, which is so as well when the kernel has ended.
    if [[ -z $__kgw_busy ]] && ! \builtin kill -0 "$PPID"; then \builtin return; fi
    \builtin shift
    __kgw_jobs=0
    while \builtin read -r _; do __kgw_jobs=$((__kgw_jobs + 1)); done < <(\builtin jobs -p)
    {
        \builtin declare -p
        \builtin declare -f
        while \builtin read -r _ options wanted; do
            if [[ $options != -f ]]; then \builtin printf 'declare %s %s\n' "$options" "$wanted"; fi
        done < <(\builtin declare -F)
        \builtin alias -p
        \builtin printf 'set --'
        if [[ $# != 0 ]]; then \builtin printf ' %q' "$@"; fi
        \builtin printf '\n'
        \builtin trap -p
        \builtin shopt -p
        \builtin printf '%s\n' "$set"
    } >|"$__kgw_dir/state"
    # It reads no file where that is set; the state has it.
    \builtin unset POSIXLY_CORRECT
    \builtin printf '%s\n' "__kgw_dir=${__kgw_dir@Q}" '\builtin . "$__kgw_dir/prelude"' '\builtin . "$__kgw_dir/state"' \
        '__kgw_say resumed "$__kgw_jobs"' >|"$__kgw_dir/resume"
    \builtin exec "$BASH" --noprofile --rcfile "$__kgw_dir/resume" --noediting -i <&243 >/dev/null 2>&1
}

# An interrupt: SIGINT, and 63 from the kernel, as SIGINT alone is forgotten when the program that runs has dealt with it.
# It is left to the trap of ERR to end the cell, now, or if it runs already, when it is done: for bash it would else go on
# running for ever.
__kgw_stop() {
    __kgw_mend
    if [[ -z $__kgw_busy || -n $__kgw_stopped ]]; then \builtin return; fi
    __kgw_stopped=130
    if [[ $- == *e* ]]; then __kgw_errexit=1; \builtin set +e; fi
    [[ -n '' ]]
}

# Ends the cell with a status, and not the shell: as an interrupt does, which is the one way out of everything.
__kgw_leave() {
    __kgw_mend
    __kgw_status=$1 __kgw_exit=''
    \builtin trap - ERR
    if [[ $- == *e* ]]; then __kgw_errexit=1; \builtin set +e; fi
    __kgw_run_exit "$__kgw_status"
    \builtin trap - INT
    \builtin kill -INT "$BASHPID"
}

exit() {
    __kgw_t=$?
    __kgw_mend
    \builtin set -- "${1-$__kgw_t}"
    if [[ $BASH_SUBSHELL != 0 ]]; then \builtin exit "$1"; fi
    if [[ -z $1 || $1 == *[!0-9]* ]]; then
        if [[ $1 == -+([0-9]) ]]; then \builtin set -- "$(($1 & 255))"; else
            \builtin printf 'exit: %s: numeric argument required\n' "$1" >&2
            \builtin set -- 2
        fi
    fi
    \builtin set -- "$((10#$1 & 255))"
    __kgw_failed=()
    __kgw_note "$1" "${BASH_LINENO[0]}" "exit $1" "$1"
    __kgw_leave "$1"
}

# Handlers of ERR and EXIT stand beside the kernel's own; that of INT is put back after it was in the way.
trap() {
    __kgw_mend
    if [[ $BASH_SUBSHELL != 0 ]]; then \builtin trap "$@"; \builtin return; fi
    if [[ $# == 0 || $1 == -p ]]; then
        \builtin trap -- "${__kgw_user_err:--}" ERR
        \builtin trap -- "${__kgw_user_exit:--}" EXIT
        \builtin trap - 63
        if [[ -z $__kgw_has_int ]]; then \builtin trap - INT; fi
        \builtin trap "$@"
        \builtin set -- "$?"
        \builtin trap "$__kgw_trap" ERR
        \builtin trap "$__kgw_at_exit" EXIT
        \builtin trap __kgw_stop 63
        if [[ -z $__kgw_has_int ]]; then \builtin trap __kgw_stop INT; fi
        \builtin return "$1"
    fi
    if [[ $1 == -l ]]; then \builtin trap "$@"; \builtin return; fi
    if [[ $1 == -- ]]; then \builtin shift; fi
    \builtin local action="${1-}" name status=0
    __kgw_called="trap $*"
    if [[ $# -lt 2 ]]; then action=-; else \builtin shift; fi
    for name; do
        case $name in
            [Ee][Rr][Rr]) if [[ $action == - ]]; then __kgw_user_err=''; else __kgw_user_err=$action; fi ;;
            0 | [Ee][Xx][Ii][Tt] | [Ss][Ii][Gg][Ee][Xx][Ii][Tt])
                if [[ $action == - ]]; then __kgw_user_exit=''; else __kgw_user_exit=$action; fi ;;
            2 | [Ii][Nn][Tt] | [Ss][Ii][Gg][Ii][Nn][Tt])
                if [[ $action == - ]]; then
                    __kgw_has_int=''
                    \builtin trap __kgw_stop INT
                else
                    __kgw_has_int=1 __kgw_user_int=$action
                    \builtin trap -- "$action" INT
                fi ;;
            *) \builtin trap -- "$action" "$name" || status=$? ;;
        esac
    done
    \builtin return "$status"
}

display_file() {
    __kgw_mend
    \builtin local file answer status=0
    __kgw_called="display_file $*"
    if [[ $# == 0 ]]; then
        \builtin printf 'display: which file?\n' >&2
        \builtin return 2
    fi
    for file; do
        if [[ $file != /* ]]; then file=${PWD-}/$file; fi
        answer='the kernel does not hear'
        if __kgw_say display "$file"; then IFS='' \builtin read -r -t 30 answer <&245 || \builtin :; fi
        if [[ $answer != ok ]]; then
            \builtin printf 'display: %s\n' "$answer" >&2
            status=1
        fi
    done
    \builtin return "$status"
}

display() {
    __kgw_mend
    \builtin local status=0
    display_file "$@" || status=$?
    __kgw_called="display $*"
    \builtin return "$status"
}

__kgw_complete() {
    \builtin compgen -A "$1" -- "$2" | while IFS='' \builtin read -r match; do
        if [[ $match == __kgw* ]]; then \builtin continue; fi
        if [[ $1 == file && -d $match ]]; then match+=/; fi
        \builtin printf '%s\n' "$match"
    done
}
