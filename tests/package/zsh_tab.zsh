# What TAB makes of a line, in a zsh that has the completions of a directory: zsh_tab.zsh DIRECTORY LINE
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PS1=; fpath=($1 \$fpath); autoload -Uz compinit && compinit -u -D"
zpty -w shell 'tell() { print -rn -- "<$BUFFER>"; BUFFER= }; zle -N tell; bindkey "^X" tell; print re""ady'
zpty -r shell out '*ready*'
zpty -n -w shell "$2"$'\t\x18'
zpty -r shell out $'*<*>*'
print -r -- "${${out##*<}%%>*}"
zpty -d shell
