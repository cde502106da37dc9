# Turns agent/uni_wizard.h into docs/API_REFERENCE.md: awk -f docs/api.awk agent/uni_wizard.h
#
# The comment at the top becomes the introduction, a comment that begins with ## a section, and every other
# comment at the left margin the text of the declaration that follows it.

function name_of(decl) {
	if (match(decl, /^(struct|enum) uw_[a-z_]+( {|;)/)) {
		match(decl, /(struct|enum) uw_[a-z_]+/)
		return substr(decl, RSTART, RLENGTH)
	}
	if (match(decl, /uw_[a-z_]+\(/))
		return substr(decl, RSTART, RLENGTH - 1)
	if (match(decl, /\(\*uw_[a-z_]+\)/))
		return substr(decl, RSTART + 2, RLENGTH - 3)
	return ""
}

function finish(name) {
	name = name_of(decl)
	if (name == "" || text == "") {
		printf "api.awk: %s:%d: a declaration without %s\n", FILENAME, FNR, text == "" ? "a comment" : "a name" >"/dev/stderr"
		failed = 1
	}
	printf "\n### %s\n\n```c\n%s```\n\n%s\n", name, decl, text
	decl = text = ""
}

# The words of a comment, marks taken off; one line of it at a time.
function add_text(line) {
	sub(/^\/\* ?/, "", line)
	sub(/^ \* ?/, "", line)
	sub(/ ?\*\/$/, "", line)
	gsub(/uw_[a-z_]+\(\)/, "`&`", line)
	text = text == "" ? line : text "\n" line
}

BEGIN {
	print "# API reference"
	print ""
	print "<!-- Made from agent/uni_wizard.h by make docs; change that. -->"
	print ""
	intro = 1
}

intro && /^#ifndef/ { intro = 0; next }
intro && /^(\/\*| \*\/)$/ { next }
intro && sub(/^ \* [^ ]+ - /, "") { print toupper(substr($0, 1, 1)) substr($0, 2); next }
intro { sub(/^ \* ?/, ""); print; next }

# What only compilers need.
decl == "" && !open && (/^#/ || /^extern/ || /^}$/ || /^$/) { next }

decl == "" && !open && /^\/\* ## .* \*\/$/ {
	sub(/^\/\* /, ""); sub(/ \*\/$/, "")
	printf "\n%s\n", $0
	next
}
decl == "" && !open && /^\/\*/ { text = ""; open = 1 }
open { add_text($0); if (/\*\/$/) open = 0; next }

{
	decl = decl $0 "\n"
	depth += gsub(/{/, "{") - gsub(/}/, "}")
	if (depth == 0 && /;$/)
		finish()
}

END { exit failed }
