# What bash offers for the last of some words, by a script of completions: bash_tab.bash SCRIPT WORD...
. "$1"
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
"$(complete -p uni-wizard | sed 's/.*-F \([^ ]*\) .*/\1/')"
echo "${COMPREPLY[@]}"
