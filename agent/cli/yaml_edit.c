#include "yaml_edit.h"

#include <stdbool.h>
#include <string.h>
#include <yaml.h>

#include "buf.h"
#include "err.h"

#define INDENT 2

struct doc {
	struct buf *text;
	size_t *lines;                  /* where each begins; one more for the end */
	size_t nlines;
	yaml_document_t y;
};

/* Reading */

/* libyaml counts these as line ends as well, and then its lines were not ours. */
static bool
has_odd_breaks(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((s[i] == '\r' && (i + 1 == len || s[i + 1] != '\n')) || (i + 1 < len && memcmp(s + i, "\xc2\x85", 2) == 0) ||
		    (i + 2 < len && (memcmp(s + i, "\xe2\x80\xa8", 3) == 0 || memcmp(s + i, "\xe2\x80\xa9", 3) == 0)))
			return true;
	return len >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0;
}

static void
find_lines(struct doc *d)
{
	const char *s = buf_str(d->text);
	size_t len = d->text->len;

	d->lines = xcalloc(len + 2, sizeof *d->lines);
	d->nlines = 1;
	for (size_t i = 0; i < len; i++)
		if (s[i] == '\n')
			d->lines[d->nlines++] = i + 1;
	d->lines[d->nlines] = len;
}

static int
doc_open(struct doc *d, struct buf *text, struct err *e)
{
	yaml_parser_t p;
	int ok;

	*d = (struct doc){ .text = text };
	if (text->len > YAML_EDIT_MAX)
		return err_set(e, ERR_TOO_BIG, "larger than %u bytes", YAML_EDIT_MAX);
	if (has_odd_breaks(buf_str(text), text->len))
		return err_set(e, ERR_INVALID, "expected lines that end in \\n, and no byte order mark");
	if (!yaml_parser_initialize(&p))
		return err_set(e, ERR_INTERNAL, "no memory");
	yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&p, (const unsigned char *)buf_str(text), text->len);
	ok = yaml_parser_load(&p, &d->y);
	if (!ok)
		err_set(e, ERR_PARSE, "line %zu: not valid YAML: %s", p.problem_mark.line + 1, p.problem ? p.problem : "cannot be read");
	yaml_parser_delete(&p);
	if (ok)
		find_lines(d);
	return ok ? 0 : -1;
}

static void
doc_close(struct doc *d)
{
	yaml_document_delete(&d->y);
	free(d->lines);
}

static yaml_node_t *
node(struct doc *d, int i)
{
	return yaml_document_get_node(&d->y, i);
}

static const char *
text_of(const yaml_node_t *n)
{
	return n->type == YAML_SCALAR_NODE ? (const char *)n->data.scalar.value : "";
}

static bool
is_nothing(const yaml_node_t *n)
{
	const char *s = text_of(n);

	return n->type == YAML_SCALAR_NODE && n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	    (!*s || strcmp(s, "~") == 0 || strcmp(s, "null") == 0);
}

static bool
is_flow(const yaml_node_t *n)
{
	return (n->type == YAML_MAPPING_NODE && n->data.mapping.style == YAML_FLOW_MAPPING_STYLE) ||
	    (n->type == YAML_SEQUENCE_NODE && n->data.sequence.style == YAML_FLOW_SEQUENCE_STYLE);
}

/* Marks count characters. */
static size_t
offset(const struct doc *d, const yaml_mark_t *m)
{
	const char *s = buf_str(d->text);
	size_t i = m->line < d->nlines ? d->lines[m->line] : d->text->len;

	for (size_t n = m->column; n && i < d->text->len; n--) {
		i++;
		while (i < d->text->len && ((unsigned char)s[i] & 0xc0) == 0x80)
			i++;
	}
	return i;
}

/* The last line on which there is something of it. */
static size_t
last_line(struct doc *d, yaml_node_t *n)
{
	if (n->type == YAML_MAPPING_NODE && !is_flow(n) && n->data.mapping.pairs.top > n->data.mapping.pairs.start) {
		yaml_node_t *key = node(d, n->data.mapping.pairs.top[-1].key), *value = node(d, n->data.mapping.pairs.top[-1].value);

		return is_nothing(value) && !*text_of(value) ? key->end_mark.line : last_line(d, value);
	}
	if (n->type == YAML_SEQUENCE_NODE && !is_flow(n) && n->data.sequence.items.top > n->data.sequence.items.start)
		return last_line(d, node(d, n->data.sequence.items.top[-1]));
	return n->end_mark.line - (n->end_mark.column == 0 && n->end_mark.line > n->start_mark.line);
}

static yaml_node_pair_t *
pair_find(struct doc *d, yaml_node_t *map, const char *name, size_t len)
{
	if (!map || map->type != YAML_MAPPING_NODE)
		return NULL;
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
		const char *key = text_of(node(d, p->key));

		if (strlen(key) == len && memcmp(key, name, len) == 0)
			return p;
	}
	return NULL;
}

/* Where a path leads. */
struct place {
	yaml_node_t *map;               /* the deepest mapping on the way that is there; NULL: an empty text */
	yaml_node_pair_t *pair;         /* what the path names in it; NULL: not there */
	yaml_node_pair_t *owner;        /* whose value map is, or will be; NULL: top level */
	const char *rest;               /* of the path: from the pair's own name on */
	bool in_flow;
};

static void
place_find(struct doc *d, const char *path, struct place *at)
{
	size_t len;

	*at = (struct place){ .map = yaml_document_get_root_node(&d->y), .rest = path };
	for (;; at->rest += len + 1) {
		at->in_flow |= at->map && is_flow(at->map);
		len = strcspn(at->rest, ".");
		at->pair = pair_find(d, at->map, at->rest, len);
		if (!at->pair || !at->rest[len])
			return;
		at->owner = at->pair;
		at->map = node(d, at->pair->value);
	}
}

/* Changing */

static void
replace(struct buf *text, size_t from, size_t to, const struct buf *by)
{
	struct buf out = { .max = text->max };

	buf_add(&out, buf_str(text), from);
	buf_add(&out, buf_str(by), by->len);
	buf_add(&out, buf_str(text) + to, text->len - to);
	buf_free(text);
	*text = out;
}

/* After a line, each as a line of its own; the text's last line may lack its end. */
static void
insert_after_line(struct doc *d, size_t line, const struct buf *lines)
{
	size_t at = line + 1 < d->nlines ? d->lines[line + 1] : d->text->len;
	struct buf b = { 0 };

	if (at && buf_str(d->text)[at - 1] != '\n')
		buf_addc(&b, '\n');
	buf_add(&b, buf_str(lines), lines->len);
	replace(d->text, at, at, &b);
	buf_free(&b);
}

static void
remove_lines(struct doc *d, size_t first, size_t last)
{
	size_t to = last + 1 < d->nlines ? d->lines[last + 1] : d->text->len;

	replace(d->text, d->lines[first], to, &(struct buf){ 0 });
}

/* "a.b": in block style on lines of their own, in flow style "a: {b: value}". */
static void
put_block(struct buf *b, size_t indent, const char *path, const char *value)
{
	for (; strchr(path, '.'); path = strchr(path, '.') + 1, indent += INDENT)
		buf_addf(b, "%*s%.*s:\n", (int)indent, "", (int)strcspn(path, "."), path);
	buf_addf(b, "%*s%s: %s\n", (int)indent, "", path, value);
}

static void
put_flow(struct buf *b, const char *path, const char *value)
{
	size_t depth = 0;

	for (; strchr(path, '.'); path = strchr(path, '.') + 1, depth++)
		buf_addf(b, "%.*s: {", (int)strcspn(path, "."), path);
	buf_addf(b, "%s: %s", path, value);
	while (depth--)
		buf_addc(b, '}');
}

static void
insert_in_flow(struct doc *d, yaml_node_t *map, const char *path, const char *value)
{
	yaml_node_pair_t *last = map->data.mapping.pairs.top;
	bool empty = last == map->data.mapping.pairs.start;
	size_t at = empty ? offset(d, &map->start_mark) + 1 : offset(d, &node(d, last[-1].value)->end_mark);
	struct buf b = { 0 };

	if (!empty)
		buf_adds(&b, ", ");
	put_flow(&b, path, value);
	replace(d->text, at, at, &b);
	buf_free(&b);
}

static void
insert_in_block(struct doc *d, yaml_node_t *map, const char *path, const char *value)
{
	struct buf b = { 0 };

	put_block(&b, node(d, map->data.mapping.pairs.start->key)->start_mark.column, path, value);
	insert_after_line(d, last_line(d, map), &b);
	buf_free(&b);
}

/* Where a key has no value yet. */
static void
insert_beneath(struct doc *d, const struct place *at, const char *value)
{
	yaml_node_t *key = node(d, at->owner->key), *nothing = node(d, at->owner->value);
	struct buf b = { 0 };

	if (at->in_flow || *text_of(nothing)) {
		buf_adds(&b, *text_of(nothing) ? "{" : " {");
		put_flow(&b, at->rest, value);
		buf_addc(&b, '}');
		replace(d->text, offset(d, &nothing->start_mark), offset(d, &nothing->end_mark), &b);
	} else {
		put_block(&b, key->start_mark.column + INDENT, at->rest, value);
		insert_after_line(d, key->end_mark.line, &b);
	}
	buf_free(&b);
}

static int
insert(struct doc *d, const struct place *at, const char *path, const char *value, struct err *e)
{
	struct buf b = { 0 };

	if (!at->map) {
		put_block(&b, 0, path, value);
		insert_after_line(d, d->nlines - 1, &b);
		buf_free(&b);
		return 0;
	}
	if (at->owner && is_nothing(at->map))
		insert_beneath(d, at, value);
	else if (at->map->type != YAML_MAPPING_NODE)
		return err_set(e, ERR_INVALID, "line %zu: expected a mapping, for %s", at->map->start_mark.line + 1, path);
	else if (is_flow(at->map))
		insert_in_flow(d, at->map, at->rest, value);
	else
		insert_in_block(d, at->map, at->rest, value);
	return 0;
}

static void
replace_value(struct doc *d, const struct place *at, const char *value)
{
	yaml_node_t *key = node(d, at->pair->key), *old = node(d, at->pair->value);
	size_t after = offset(d, &key->end_mark);
	struct buf b = { 0 };

	after += strcspn(buf_str(d->text) + after, ":") + 1;
	buf_addf(&b, " %s", value);
	if (old->type == YAML_SCALAR_NODE || is_flow(old)) {
		replace(d->text, after, offset(d, &old->end_mark), &b);
	} else {
		remove_lines(d, old->start_mark.line, last_line(d, old));
		replace(d->text, after, after, &b);
	}
	buf_free(&b);
}

int
yaml_put(struct buf *text, const char *path, const char *value, struct err *e)
{
	struct place at;
	struct doc d;
	int rc = 0;

	if (doc_open(&d, text, e))
		return -1;
	place_find(&d, path, &at);
	if (at.pair)
		replace_value(&d, &at, value);
	else
		rc = insert(&d, &at, path, value, e);
	doc_close(&d);
	return rc;
}

/* One of several things with commas between them, from start to end. */
struct span {
	size_t start, end;
};

static void
remove_between_commas(struct doc *d, const struct span *before, const struct span *it, const struct span *after)
{
	size_t from = after || !before ? it->start : before->end, to = after ? after->start : it->end;

	replace(d->text, from, to, &(struct buf){ 0 });
}

static struct span
pair_span(struct doc *d, const yaml_node_pair_t *p)
{
	return (struct span){ offset(d, &node(d, p->key)->start_mark), offset(d, &node(d, p->value)->end_mark) };
}

static void
remove_pair(struct doc *d, const struct place *at)
{
	yaml_node_pair_t *p = at->pair, *first = at->map->data.mapping.pairs.start, *end = at->map->data.mapping.pairs.top;
	yaml_node_t *key = node(d, p->key), *value = node(d, p->value);
	struct span it = pair_span(d, p), before, after;

	if (!is_flow(at->map)) {
		remove_lines(d, key->start_mark.line, is_nothing(value) && !*text_of(value) ? key->end_mark.line : last_line(d, value));
		return;
	}
	if (p > first)
		before = pair_span(d, p - 1);
	if (p + 1 < end)
		after = pair_span(d, p + 1);
	remove_between_commas(d, p > first ? &before : NULL, &it, p + 1 < end ? &after : NULL);
}

int
yaml_remove(struct buf *text, const char *path, struct err *e)
{
	struct place at;
	struct doc d;

	if (doc_open(&d, text, e))
		return -1;
	place_find(&d, path, &at);
	if (at.pair)
		remove_pair(&d, &at);
	doc_close(&d);
	return 0;
}

/* Lists */

static yaml_node_item_t *
item_find(struct doc *d, yaml_node_t *list, const char *word)
{
	for (yaml_node_item_t *i = list->data.sequence.items.start; i < list->data.sequence.items.top; i++)
		if (strcmp(text_of(node(d, *i)), word) == 0)
			return i;
	return NULL;
}

static void
append_item(struct doc *d, yaml_node_t *list, const char *word)
{
	bool empty = list->data.sequence.items.top == list->data.sequence.items.start;
	yaml_node_t *last = empty ? NULL : node(d, list->data.sequence.items.top[-1]);
	struct buf b = { 0 };
	size_t at;

	if (!is_flow(list)) {
		const char *line = buf_str(d->text) + d->lines[last->start_mark.line];

		buf_addf(&b, "%*s- %s\n", (int)strspn(line, " "), "", word);
		insert_after_line(d, last_line(d, list), &b);
	} else {
		at = last ? offset(d, &last->end_mark) : offset(d, &list->start_mark) + 1;
		buf_addf(&b, "%s%s", last ? ", " : "", word);
		replace(d->text, at, at, &b);
	}
	buf_free(&b);
}

static struct span
item_span(struct doc *d, const yaml_node_item_t *i)
{
	return (struct span){ offset(d, &node(d, *i)->start_mark), offset(d, &node(d, *i)->end_mark) };
}

static void
remove_item(struct doc *d, yaml_node_t *list, const yaml_node_item_t *i)
{
	yaml_node_item_t *first = list->data.sequence.items.start, *end = list->data.sequence.items.top;
	struct span it = item_span(d, i), before, after;

	if (!is_flow(list)) {
		remove_lines(d, node(d, *i)->start_mark.line, last_line(d, node(d, *i)));
		return;
	}
	if (i > first)
		before = item_span(d, i - 1);
	if (i + 1 < end)
		after = item_span(d, i + 1);
	remove_between_commas(d, i > first ? &before : NULL, &it, i + 1 < end ? &after : NULL);
}

/* 1: the path names no list, or none yet. */
static int
list_change(struct buf *text, const char *path, const char *word, bool add, struct err *e)
{
	yaml_node_item_t *item;
	struct place at;
	yaml_node_t *list;
	struct doc d;
	int rc = 0;

	if (doc_open(&d, text, e))
		return -1;
	place_find(&d, path, &at);
	list = at.pair ? node(&d, at.pair->value) : NULL;
	if (!list || is_nothing(list)) {
		rc = 1;
	} else if (list->type != YAML_SEQUENCE_NODE) {
		rc = err_set(e, ERR_INVALID, "line %zu: expected a list, for %s", list->start_mark.line + 1, path);
	} else {
		item = item_find(&d, list, word);
		if (add && !item)
			append_item(&d, list, word);
		else if (!add && item)
			remove_item(&d, list, item);
	}
	doc_close(&d);
	return rc;
}

int
yaml_list_add(struct buf *text, const char *path, const char *word, struct err *e)
{
	struct buf value = { 0 };
	int rc = list_change(text, path, word, true, e);

	if (rc == 1) {
		buf_addf(&value, "[%s]", word);
		rc = yaml_put(text, path, value.data, e);
	}
	buf_free(&value);
	return rc;
}

int
yaml_list_remove(struct buf *text, const char *path, const char *word, struct err *e)
{
	return list_change(text, path, word, false, e) < 0 ? -1 : 0;
}
