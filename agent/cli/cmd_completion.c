#include "cmd.h"

/* The scripts only ask the program: what it offers comes from the same table as --help. */

static const char bash[] =
    "_uni_wizard() {\n"
    "	local line cur=${COMP_WORDS[COMP_CWORD]}\n"
    "	COMPREPLY=()\n"
    "	[ \"$cur\" = = ] && cur=\n"
    "	while IFS= read -r line; do\n"
    "		if [ \"$line\" = :files ]; then\n"
    "			compopt -o filenames 2>/dev/null\n"
    "			while IFS= read -r line; do COMPREPLY+=(\"$line\"); done < <(compgen -f -- "
    "\"$cur\")\n"
    "		else\n"
    "			line=${line%%$'\\t'*}\n"
    "			[ \"${line%=}\" = \"$line\" ] || compopt -o nospace 2>/dev/null\n"
    "			COMPREPLY+=(\"$line\")\n"
    "		fi\n"
    "	done < <(\"${COMP_WORDS[0]}\" complete -- \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null)\n"
    "}\n"
    "complete -F _uni_wizard uni-wizard\n";

/* An installed file is the function itself, the first time it is asked; one that is sourced only defines it. */
static const char zsh[] =
    "#compdef uni-wizard\n"
    "_uni_wizard() {\n"
    "	local line word\n"
    "	local -a plain open plain_help open_help\n"
    "	while IFS= read -r line; do\n"
    "		if [[ $line == :files ]]; then _files; continue; fi\n"
    "		word=${line%%$'\\t'*}\n"
    "		if [[ $word == *= ]]; then open+=(\"$word\"); open_help+=(\"$word  ${line#*$'\\t'}\")\n"
    "		else plain+=(\"$word\"); plain_help+=(\"$word  ${line#*$'\\t'}\"); fi\n"
    "	done < <(\"${words[1]}\" complete -- \"${(@)words[2,CURRENT]}\" 2>/dev/null)\n"
    "	(( $#plain )) && compadd -l -d plain_help -a plain\n"
    "	(( $#open )) && compadd -S '' -l -d open_help -a open\n"
    "}\n"
    "if [[ $funcstack[1] == _uni-wizard ]]; then _uni_wizard \"$@\"; else compdef _uni_wizard uni-wizard; fi\n";

static const char fish[] =
    "function __uni_wizard_complete\n"
    "	set -l words (commandline -opc)\n"
    "	set -l cur (commandline -ct)\n"
    "	for line in ($words[1] complete -- $words[2..-1] \"$cur\" 2>/dev/null)\n"
    "		if test \"$line\" = :files\n"
    "			__fish_complete_path \"$cur\"\n"
    "		else\n"
    "			echo $line\n"
    "		end\n"
    "	end\n"
    "end\n"
    "complete -c uni-wizard -f -a '(__uni_wizard_complete)'\n";

static int
completion_run(const struct cmd_args *a)
{
	static const struct {
		const char *shell, *script;
	} shells[] = { { "bash", bash }, { "zsh", zsh }, { "fish", fish } };

	for (size_t i = 0; i < sizeof shells / sizeof *shells; i++)
		if (strcmp(shells[i].shell, a->argv[0]) == 0) {
			fputs(shells[i].script, stdout);
			return EXIT_OK;
		}
	return cmd_fail(EXIT_USAGE, "completion: expected bash, zsh or fish, got %.60s", a->argv[0]);
}

const struct cmd cmd_completion = {
	.name = "completion",
	.args = "bash|zsh|fish",
	.help = "Print a script that completes commands, options, houses, agents and tools",
	.more = "Installed with the program, they are loaded by themselves. Elsewhere, in bash or zsh, and in fish:\n\n"
	        "  source <(uni-wizard completion bash)\n"
	        "  uni-wizard completion fish | source",
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_NO_CONFIG,
	.complete = "bash zsh fish",
	.run = completion_run,
};
