
# `cargo tracer`, beside what else is known of cargo.
function __cargo_tracer_of_cargo
    set -l words (commandline -opc)
    set -e words[1]
    if string match -q -- '+*' "$words[1]"
        set -e words[1]
    end
    test "$words[1]" = tracer
    or return 1
    set -e words[1]
    if test "$argv[1]" = complete
        set -l current (commandline -ct)
        complete -C (string join ' ' -- cargo-tracer (string escape -- $words) "$current")
    end
end
complete -c cargo -n __cargo_tracer_of_cargo -f -a '(__cargo_tracer_of_cargo complete)'
