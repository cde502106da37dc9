/*
 * config_tree.c - YAML that is not houses.yaml, as a JSON tree: the same strictness, no table of keys.
 */
#include <cjson/cJSON.h>

#include "config_impl.h"

static cJSON *tree_of(struct config_reader *r, yaml_node_t *n);

/* Digits only, and few enough to be exact; anything else is text. */
static bool
is_number(const char *s)
{
	size_t n;

	s += *s == '-';
	n = strspn(s, "0123456789");
	return n > 0 && n <= 15 && !s[n] && (s[0] != '0' || n == 1);
}

static cJSON *
scalar_of(struct config_reader *r, const yaml_node_t *n)
{
	const char *text = config_text(n);

	if (n->data.scalar.length != strlen(text)) {
		config_fail(r, config_line(n), "text with a NUL in it");
		return NULL;
	}
	if (config_is_nothing(n)) {
		config_fail(r, config_line(n), "expected a value, got nothing");
		return NULL;
	}
	if (n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
		if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
			return cJSON_CreateBool(*text == 't');
		if (is_number(text))
			return cJSON_CreateNumber((double)strtoll(text, NULL, 10));
	}
	return cJSON_CreateString(text);
}

static int
member_add(struct config_reader *r, cJSON *obj, yaml_node_t *key, yaml_node_t *value)
{
	cJSON *v;

	if (key->type != YAML_SCALAR_NODE)
		return config_fail(r, config_line(key), "expected a name, got %s", config_brief(key));
	if (cJSON_GetObjectItemCaseSensitive(obj, config_text(key)))
		return config_fail(r, config_line(key), "%.60s: given twice", config_text(key));
	v = tree_of(r, value);
	if (!v)
		return -1;
	cJSON_AddItemToObject(obj, config_text(key), v);
	return 0;
}

static cJSON *
mapping_of(struct config_reader *r, yaml_node_t *n)
{
	cJSON *obj = cJSON_CreateObject();

	for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++)
		if (member_add(r, obj, config_node(r, p->key), config_node(r, p->value))) {
			cJSON_Delete(obj);
			return NULL;
		}
	return obj;
}

static cJSON *
list_of(struct config_reader *r, yaml_node_t *n)
{
	cJSON *list = cJSON_CreateArray(), *v;

	for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top; i++) {
		v = tree_of(r, config_node(r, *i));
		if (!v) {
			cJSON_Delete(list);
			return NULL;
		}
		cJSON_AddItemToArray(list, v);
	}
	return list;
}

/* Nested no deeper than config_document_load() lets through. */
static cJSON *
tree_of(struct config_reader *r, yaml_node_t *n)
{
	if (n->type == YAML_MAPPING_NODE)
		return mapping_of(r, n);
	return n->type == YAML_SEQUENCE_NODE ? list_of(r, n) : scalar_of(r, n);
}

cJSON *
config_tree(const char *name, const char *text, size_t len, struct err *e)
{
	struct config_reader r = { .name = name, .e = e };
	yaml_node_t *root;
	cJSON *tree = NULL;

	if (config_document_load(&r, text, len))
		return NULL;
	root = yaml_document_get_root_node(&r.doc);
	if (root)
		tree = tree_of(&r, root);
	else
		err_set(e, ERR_CONFIG, "%s: the file is empty", name);
	yaml_document_delete(&r.doc);
	return tree;
}
