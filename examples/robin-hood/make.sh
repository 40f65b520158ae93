#!/bin/sh
# Writes the end of README.md anew: sh examples/robin-hood/make.sh RUN [FOLDER]
# RUN is a GPT, such as one of examples/pretrained/gpt.toml; it is fine-tuned into FOLDER, if that is not there.
set -e
here=$(dirname "$0")
folder=${2:-runs/robin-hood}
[ -d "$folder" ] || lmkit finetune "$1" "$here/vocabulary.toml" --run "$folder"
python "$here/robin_hood.py" "$folder" > "$folder/said.txt"
sed '/^## What it said/q' "$here/README.md" > "$folder/README.md"
sed 's/^\(.\)/    \1/' "$folder/said.txt" >> "$folder/README.md"
mv "$folder/README.md" "$here/README.md"
rm "$folder/said.txt"
