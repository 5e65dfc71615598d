#!/bin/sh
# across_machines.sh COMMAND OTHER MODEL... - the logits of two builds of the command, for processors
# of different kinds, are the same bits. OTHER may be a script that runs an emulator.
set -eu

command=$1
other=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tokens=$(awk 'BEGIN { for (i = 0; i < 70; i++) printf "%s%d", i ? "," : "", (i * 37 + 5) % 90 }')
bad=0
for model; do
    for cache in f32 f16; do
        for program in command other; do
            eval "run=\$$program"
            "$run" logits -m "$model" --tokens "$tokens" -ctk "$cache" -ctv "$cache" \
                -o "$work/$program.npy"
        done
        if cmp "$work/command.npy" "$work/other.npy"; then
            echo "$model, keys and values in $cache: same"
        else
            echo "$model, keys and values in $cache: DIFFERENT"
            bad=1
        fi
    done
done
exit "$bad"
