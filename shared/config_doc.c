#include "config_impl.h"

#include <stdarg.h>

#define FILE_MAX_BYTES (1u << 20)
#define DEPTH_MAX 8

int
config_fail(const struct config_reader *r, int line, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return err_set(r->e, ERR_CONFIG, "%s:%d: %s", r->name, line, text);
}

int
config_fail_field(
    const struct config_reader *r, int line, const char *field, const char *expected, const char *got)
{
	err_field(r->e, ERR_CONFIG, field, got, "%s", expected);
	return err_wrap(r->e, "%s:%d", r->name, line);
}

void
config_warn(const struct config_reader *r, int line, const char *fmt, ...)
{
	char text[400], whole[700];
	va_list ap;

	if (!r->warn)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	snprintf(whole, sizeof whole, "%s:%d: %s", r->name, line, text);
	r->warn(whole, r->arg);
}

int
config_line(const yaml_node_t *n)
{
	return (int)n->start_mark.line + 1;
}

yaml_node_t *
config_node(struct config_reader *r, int i)
{
	return yaml_document_get_node(&r->doc, i);
}

const char *
config_text(const yaml_node_t *n)
{
	return (const char *)n->data.scalar.value;
}

bool
config_is_nothing(const yaml_node_t *n)
{
	if (n->type != YAML_SCALAR_NODE || n->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return false;
	return n->data.scalar.length == 0 || strcmp(config_text(n), "~") == 0 ||
	    strcmp(config_text(n), "null") == 0;
}

const char *
config_brief(const yaml_node_t *n)
{
	if (n->type == YAML_MAPPING_NODE)
		return "a mapping";
	if (n->type == YAML_SEQUENCE_NODE)
		return "a list";
	return config_is_nothing(n) ? "nothing" : n->data.scalar.length ? config_text(n) : "\"\"";
}

static yaml_node_t *
mapping_find(struct config_reader *r, yaml_node_t *map, const char *name, size_t len)
{
	if (map->type != YAML_MAPPING_NODE)
		return NULL;
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
		yaml_node_t *key = config_node(r, p->key);

		if (key->type == YAML_SCALAR_NODE && strlen(config_text(key)) == len &&
		    memcmp(config_text(key), name, len) == 0)
			return config_node(r, p->value);
	}
	return NULL;
}

int
config_line_of(struct config_reader *r, const char *path)
{
	yaml_node_t *n = yaml_document_get_root_node(&r->doc), *next;

	while (n) {
		size_t len = strcspn(path, ".");

		next = mapping_find(r, n, path, len);
		if (!next)
			break;
		n = next;
		if (!path[len])
			break;
		path += len + 1;
	}
	return n ? config_line(n) : 1;
}

static int
fail_yaml(struct config_reader *r, const yaml_parser_t *p)
{
	const char *problem = p->problem ? p->problem : "cannot be read";

	if (p->error == YAML_READER_ERROR)
		return config_fail(
		    r, (int)p->mark.line + 1, "not valid YAML: %s (byte %zu)", problem, p->problem_offset);
	if (p->context)
		return config_fail(r, (int)p->problem_mark.line + 1, "not valid YAML: %s, %s on line %zu",
		    problem, p->context, p->context_mark.line + 1);
	return config_fail(r, (int)p->problem_mark.line + 1, "not valid YAML: %s", problem);
}

static const char *
event_refused(const yaml_event_t *ev, int depth, int documents)
{
	const yaml_char_t *anchor = NULL, *tag = NULL;

	if (ev->type == YAML_SCALAR_EVENT) {
		anchor = ev->data.scalar.anchor;
		tag = ev->data.scalar.tag;
	} else if (ev->type == YAML_MAPPING_START_EVENT) {
		anchor = ev->data.mapping_start.anchor;
		tag = ev->data.mapping_start.tag;
	} else if (ev->type == YAML_SEQUENCE_START_EVENT) {
		anchor = ev->data.sequence_start.anchor;
		tag = ev->data.sequence_start.tag;
	}
	if (ev->type == YAML_ALIAS_EVENT || anchor)
		return "anchors and aliases (& and *) are not used here; put text that begins with them in "
		       "quotes";
	if (tag)
		return "tags (!) are not used here; put text that begins with ! in quotes";
	if (depth > DEPTH_MAX)
		return "nested too deeply";
	return documents > 1 ? "a second document begins (---); expected one" : NULL;
}

/* libyaml builds whatever tree the text asks for: look at the events first. */
static int
prescan(struct config_reader *r, const char *text, size_t len)
{
	yaml_parser_t p;
	yaml_event_t ev;
	int depth = 0, documents = 0, rc = 0;
	bool end = false;

	if (!yaml_parser_initialize(&p))
		abort();
	yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&p, (const unsigned char *)text, len);
	while (!rc && !end) {
		const char *why;

		if (!yaml_parser_parse(&p, &ev)) {
			rc = fail_yaml(r, &p);
			break;
		}
		depth += ev.type == YAML_MAPPING_START_EVENT || ev.type == YAML_SEQUENCE_START_EVENT;
		depth -= ev.type == YAML_MAPPING_END_EVENT || ev.type == YAML_SEQUENCE_END_EVENT;
		documents += ev.type == YAML_DOCUMENT_START_EVENT;
		end = ev.type == YAML_STREAM_END_EVENT;
		if ((why = event_refused(&ev, depth, documents)))
			rc = config_fail(r, (int)ev.start_mark.line + 1, "%s", why);
		yaml_event_delete(&ev);
	}
	yaml_parser_delete(&p);
	return rc;
}

/* libyaml's own words for this are "found character that cannot start any token". */
static int
check_tabs(struct config_reader *r, const char *text, size_t len)
{
	int line = 1;

	for (size_t i = 0; i < len; line++) {
		bool tab = false;

		for (; i < len && (text[i] == ' ' || text[i] == '\t'); i++)
			tab |= text[i] == '\t';
		if (tab && i < len && text[i] != '\n' && text[i] != '\r' && text[i] != '#')
			return config_fail(r, line, "a tab in the indentation; YAML wants spaces");
		while (i < len && text[i] != '\n')
			i++;
		i++;
	}
	return 0;
}

int
config_document_load(struct config_reader *r, const char *text, size_t len)
{
	yaml_parser_t p;
	int rc = 0;

	if (len > FILE_MAX_BYTES)
		return err_set(r->e, ERR_CONFIG, "%s: larger than %u bytes", r->name, FILE_MAX_BYTES);
	if (check_tabs(r, text, len) || prescan(r, text, len))
		return -1;
	if (!yaml_parser_initialize(&p))
		abort();
	yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&p, (const unsigned char *)text, len);
	if (!yaml_parser_load(&p, &r->doc))
		rc = fail_yaml(r, &p);
	yaml_parser_delete(&p);
	return rc;
}
