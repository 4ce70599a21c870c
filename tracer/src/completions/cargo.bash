
# `cargo tracer`, beside what else is known of cargo: that is asked where the subcommand is another one.
_cargo_tracer_of_cargo() {
    local at=1
    [[ ${COMP_WORDS[1]} == +* ]] && at=2
    if [[ ${COMP_WORDS[at]} == tracer && $COMP_CWORD -gt $at ]]; then
        local -a words=(cargo-tracer "${COMP_WORDS[@]:at+1}")
        local place=$((COMP_CWORD - at))
        local -a COMP_WORDS=("${words[@]}")
        local COMP_CWORD=$place
        _cargo_tracer cargo-tracer "$2" "${COMP_WORDS[COMP_CWORD - 1]}"
        return
    fi
    if [[ -z $_cargo_tracer_other ]]; then
        # bash-completion loads what it has at the first use, and registers it in place of this.
        if declare -F _comp_load >/dev/null; then
            _comp_load cargo
        elif declare -F __load_completion >/dev/null; then
            __load_completion cargo
        fi
        _cargo_tracer_register
    fi
    if declare -F "$_cargo_tracer_other" >/dev/null; then
        "$_cargo_tracer_other" "$@"
    fi
}

_cargo_tracer_register() {
    local known
    known=$(complete -p cargo 2>/dev/null)
    if [[ $known =~ \ -F\ ([^ ]+) && ${BASH_REMATCH[1]} != _cargo_tracer_of_cargo ]]; then
        _cargo_tracer_other=${BASH_REMATCH[1]}
    fi
    complete -F _cargo_tracer_of_cargo -o bashdefault -o default cargo
}
_cargo_tracer_register
