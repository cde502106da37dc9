#include <inttypes.h>

#include "err.h"
#include "git.h"
#include "json.h"
#include "tool.h"

#define MAX_STATUS (8u << 20)
#define MAX_NUMSTAT (8u << 20)

const char *
git_change_name(char letter)
{
	switch (letter) {
	case 'M': return "modified";
	case 'A': return "added";
	case 'D': return "deleted";
	case 'R': return "renamed";
	case 'C': return "copied";
	case 'T': return "type changed";
	case 'U': return "unmerged";
	case '?': return "untracked";
	case '!': return "ignored";
	default: return "unchanged";
	}
}

static void
read_header(struct git_state *s, const char *line)
{
	if (strncmp(line, "branch.oid ", 11) == 0 && line[11] != '(')
		snprintf(s->oid, sizeof s->oid, "%s", line + 11);
	else if (strncmp(line, "branch.head ", 12) == 0 && line[12] != '(')
		snprintf(s->branch, sizeof s->branch, "%s", line + 12);
	else if (strncmp(line, "branch.upstream ", 16) == 0)
		snprintf(s->upstream, sizeof s->upstream, "%s", line + 16);
	else if (strncmp(line, "branch.ab ", 10) == 0)
		s->has_counts = sscanf(line + 10, "+%" SCNd64 " -%" SCNd64, &s->ahead, &s->behind) == 2;
	else if (strncmp(line, "stash ", 6) == 0)
		s->stash = strtoll(line + 6, NULL, 10);
}

/* The path is what follows so many fields. */
static const char *
after_fields(const char *line, int fields)
{
	while (fields-- && line)
		if ((line = strchr(line, ' ')))
			line++;
	return line;
}

static void
count_entry(struct git_state *s, const struct git_entry *f)
{
	s->conflicts += f->conflict;
	s->untracked += f->index == '?';
	s->ignored += f->index == '!';
	s->staged += !f->conflict && !strchr(".?!", f->index);
	s->changed += !f->conflict && !strchr(".?!", f->tree);
}

/* One record of porcelain v2; false if it is none. */
static bool
read_entry(struct git_entry *f, const char *line, struct git_tokens *t)
{
	*f = (struct git_entry){ 0 };
	if (line[0] == '?' || line[0] == '!') {
		f->index = f->tree = line[0];
		f->path = after_fields(line, 1);
		return f->path;
	}
	if (!line[0] || !strchr("12u", line[0]) || strlen(line) < 5)
		return false;
	f->index = line[2];
	f->tree = line[3];
	f->conflict = line[0] == 'u';
	f->path = after_fields(line, line[0] == '1' ? 8 : line[0] == '2' ? 9 : 10);
	if (line[0] == '2' && !(f->from = git_token(t)))
		return false;
	return f->path;
}

int
git_state_read(struct git *g, const char *untracked, bool ignored, struct git_state *s,
    void (*on_entry)(void *arg, const struct git_entry *entry), void *arg, struct err *e)
{
	char how[32];
	const char *const args[] = { "status", "--porcelain=v2", "-z", "--branch", "--show-stash",
		"--renames",
		"--ignore-submodules=dirty", how, ignored ? "--ignored=traditional" : NULL, NULL };
	struct git_tokens t;
	struct git_entry f;
	const char *line;
	int code;

	*s = (struct git_state){ 0 };
	snprintf(how, sizeof how, "--untracked-files=%s", untracked);
	code = git_exec(g, args, MAX_STATUS, e);
	if (code)
		return code < 0 ? -1 : git_failed(g, "cannot read the state of the working tree", e);
	s->cut = g->end.out_total > MAX_STATUS;
	t = (struct git_tokens){ buf_str(&g->end.out), buf_str(&g->end.out) + g->end.out.len };
	while ((line = git_token(&t))) {
		if (line[0] == '#' && line[1])
			read_header(s, line + 2);
		else if (read_entry(&f, line, &t)) {
			count_entry(s, &f);
			if (on_entry)
				on_entry(arg, &f);
		}
	}
	return 0;
}

/* "12\t3\tpath", for a rename "12\t3\t" and two more tokens, "-\t-\tpath" for binary files. */
static void
add_numbers(struct git_numbers *n, const char *line, struct git_tokens *t)
{
	const char *tab = strchr(line, '\t'), *second = tab ? strchr(tab + 1, '\t') : NULL;

	if (!second)
		return;
	n->files++;
	n->insertions += strtoll(line, NULL, 10);
	n->deletions += strtoll(tab + 1, NULL, 10);
	if (!second[1]) {
		git_token(t);
		git_token(t);
	}
}

int
git_numbers_read(struct git *g, const char *old, const char *new, struct git_numbers *n, struct err *e)
{
	/* The empty tree, which git knows by heart. */
	const char *from = old[0] ? old : strlen(new) > 40 ?
	    "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321" :
	    "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
	const char *const args[] = { "diff", "--no-ext-diff", "--no-textconv", "--find-renames", "--numstat",
		"-z",
		from, new, "--", NULL };
	struct git_tokens t;
	const char *line;
	int code = git_exec(g, args, MAX_NUMSTAT, e);

	*n = (struct git_numbers){ 0 };
	if (code)
		return code < 0 ? -1 : git_failed(g, "cannot compare commits", e);
	t = (struct git_tokens){ buf_str(&g->end.out), buf_str(&g->end.out) + g->end.out.len };
	while ((line = git_token(&t)))
		add_numbers(n, line, &t);
	return 0;
}

void
git_numbers_put(struct buf *b, const struct git_numbers *n)
{
	json_kv_int(b, "files_changed", n->files);
	json_kv_int(b, "insertions", n->insertions);
	json_kv_int(b, "deletions", n->deletions);
}
