# SPDX-License-Identifier: MIT
# Completion for bash. sockqctl itself says what may come next.
_sockqctl() {
    local line=${COMP_LINE:0:COMP_POINT} words head breaks=${COMP_WORDBREAKS//[^=:]/}

    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=('')
    mapfile -t COMPREPLY < <("$1" complete -- "${words[@]:1}" 2>/dev/null | cut -f 1)
    # To bash a word begins behind the last "=" or ":".
    head=${words[-1]}
    if [[ -n $breaks && $head == *[$breaks]* ]]; then
        head=${head%"${head##*["$breaks"]}"}
        COMPREPLY=("${COMPREPLY[@]#"$head"}")
    fi
    [[ ${COMPREPLY[0]-} == *[=:/] ]] && compopt -o nospace
}
complete -F _sockqctl sockqctl
