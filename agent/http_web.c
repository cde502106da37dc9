/*
 * http_web.c - the dashboard's files, as they are in agent/web. They hold no secrets, so they need no token; what they show
 * they ask for with the token that a person gives them.
 */
#include <string.h>

#include "http.h"
#include "web.h"

void
web_get(const struct http_request *r, struct http_reply *w)
{
	const char *name = *r->id ? r->id : "index.html";
	struct err e;

	for (const struct web_file *f = web_files; f->name; f++)
		if (strcmp(f->name, name) == 0) {
			w->page = true;
			w->type = f->type;
			buf_add(&w->body, (const char *)f->data, f->len);
			return;
		}
	err_field(&e, ERR_NOT_FOUND, "path", name, "a file of the dashboard");
	http_fail(w, &e);
}
