/*
 * contract - what an OpenAPI file promises, against what comes.
 *
 *      contract FILE                                 every "METHOD PATH STATUS" in it
 *      contract FILE METHOD PATH STATUS TYPE <body   1, and why, if this answer is not as described
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "buf.h"
#include "config.h"
#include "err.h"
#include "json.h"
#include "schema.h"

static cJSON *doc;

static int
complain(const char *what, const char *detail)
{
	printf("%s: %s\n", what, detail);
	return 1;
}

static void
read_all(FILE *f, struct buf *b)
{
	char piece[4096];
	size_t n;

	while ((n = fread(piece, 1, sizeof piece, f)) > 0)
		buf_add(b, piece, n);
	buf_adds(b, "");
}

/* "#/components/schemas/Task" */
static const cJSON *
target(const char *ref)
{
	const cJSON *o = doc;
	char *copy = xstrdup(ref), *save;

	for (char *name = strtok_r(copy, "/", &save); name; name = strtok_r(NULL, "/", &save))
		if (strcmp(name, "#") != 0)
			o = cJSON_GetObjectItemCaseSensitive(o, name);
	free(copy);
	return o;
}

/* A copy in which no $ref is left. */
static cJSON *
resolved(const cJSON *v)
{
	const char *ref = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(v, "$ref"));
	cJSON *copy, *child;
	const cJSON *item;

	if (ref)
		return resolved(target(ref));
	if (!cJSON_IsObject(v) && !cJSON_IsArray(v))
		return cJSON_Duplicate(v, true);
	copy = cJSON_IsObject(v) ? cJSON_CreateObject() : cJSON_CreateArray();
	cJSON_ArrayForEach(item, v) {
		child = resolved(item);
		if (cJSON_IsObject(v))
			cJSON_AddItemToObject(copy, item->string, child);
		else
			cJSON_AddItemToArray(copy, child);
	}
	return copy;
}

static int
list(const cJSON *all)
{
	const cJSON *path, *method, *status;

	cJSON_ArrayForEach(path, cJSON_GetObjectItemCaseSensitive(all, "paths"))
		cJSON_ArrayForEach(method, path)
			cJSON_ArrayForEach(status, cJSON_GetObjectItemCaseSensitive(method, "responses")) {
				for (const char *p = method->string; *p; p++)
					putchar(*p - 'a' + 'A');
				printf(" %s %s\n", path->string, status->string);
			}
	return 0;
}

static int
check_body(const cJSON *schema, const struct buf *body)
{
	char *text = cJSON_PrintUnformatted(schema);
	struct schema *s;
	struct err e;
	cJSON *v;
	int rc = 0;

	s = schema_compile(text, strlen(text), &e);
	free(text);
	if (!s)
		return complain("the schema", e.msg);
	v = json_parse(buf_str(body), body->len && body->data[body->len - 1] == '\n' ? body->len - 1 : body->len, &e);
	if (!v || schema_check(s, v, &e))
		rc = complain("the answer", e.msg);
	cJSON_Delete(v);
	schema_free(s);
	return rc;
}

static int
check(const cJSON *all, char **argv, const struct buf *body)
{
	const cJSON *o = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(all, "paths"), argv[1]), *content;
	char type[64];

	snprintf(type, sizeof type, "%.*s", (int)strcspn(argv[3], ";"), argv[3]);
	o = cJSON_GetObjectItem(o, argv[0]);
	if (!o)
		return complain("no such method and path", argv[1]);
	o = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(o, "responses"), argv[2]);
	if (!o)
		return complain("no such status", argv[2]);
	content = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(o, "content"), type);
	if (!content)
		return complain("no such type", type);
	return strcmp(type, "application/json") == 0 ? check_body(cJSON_GetObjectItemCaseSensitive(content, "schema"), body) : 0;
}

int
main(int argc, char **argv)
{
	struct buf text = { 0 }, body = { 0 };
	FILE *f = argc > 1 ? fopen(argv[1], "re") : NULL;
	cJSON *all = NULL;
	struct err e;
	int rc = 1;

	if (!f || (argc != 2 && argc != 6)) {
		fputs("usage: contract FILE [METHOD PATH STATUS TYPE <body]\n", stderr);
		return 2;
	}
	read_all(f, &text);
	fclose(f);
	doc = config_tree(argv[1], buf_str(&text), text.len, &e);
	if (!doc) {
		complain(argv[1], e.msg);
		goto out;
	}
	all = resolved(doc);
	if (argc == 6)
		read_all(stdin, &body);
	rc = argc == 2 ? list(all) : check(all, argv + 2, &body);
out:
	cJSON_Delete(all);
	cJSON_Delete(doc);
	buf_free(&text);
	buf_free(&body);
	return rc;
}
