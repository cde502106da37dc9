/*
 * config_impl.h - what the files of the configuration share; nobody else includes it.
 *
 * config_keys.c    the table of keys
 * config_value.c   types of values: text to what stands in the struct
 * config_doc.c     text to a YAML document, with what YAML makes easy to get wrong refused
 * config_read.c    the document to the struct, by the table
 * config_check.c   defaults that depend on other keys, and checks across keys
 * config.c         files, questions, documentation
 * config_tree.c    other YAML, without the table
 */
#ifndef UW_CONFIG_IMPL_H
#define UW_CONFIG_IMPL_H

#include <yaml.h>

#include "buf.h"
#include "config.h"
#include "err.h"

#define CONFIG_TEXT_MAX 4096
#define CONFIG_FIELD_MAX 80     /* "houses.<name>.candidates" */

struct config_reader {
	struct config *c;
	const char *name;               /* of the file, for messages */
	char *dir;                      /* relative paths start here */
	bool exposed;                   /* others can read the file */
	yaml_document_t doc;
	void (*warn)(const char *msg, void *arg);
	void *arg;
	struct err *e;
};

struct config_key;

/* How one type of value is read. A list puts its items one by one. */
struct config_type {
	const char *name;               /* in the documentation */
	bool list;
	bool (*put)(const struct config_reader *r, const struct config_key *k, const char *text, void *at);
	void (*clear)(void *at);        /* NULL: plain memory */
	void (*expect)(const struct config_key *k, struct buf *out);
};

struct config_key {
	const char *path;               /* "houses.*.endpoint": * is any name */
	const struct config_type *type;
	const char *def;                /* list items are parted by spaces; NULL: none */
	const char *implied;            /* the default in the documentation's words, when it depends */
	int64_t min, max;               /* of a number; how many items in a list; 0 and 0: any */
	const char *allowed;            /* words parted by spaces */
	size_t offset;
	bool secret;                    /* never shown; an unset variable is only a warning */
	const char *help;
};

extern const struct config_type TYPE_TEXT, TYPE_CHOICE, TYPE_URL, TYPE_URLS, TYPE_PATH, TYPE_PATHS, TYPE_NAME,
    TYPE_NAMES, TYPE_INT, TYPE_BYTES, TYPE_TIME, TYPE_BROKERS, TYPE_VARIABLE, TYPE_SIGNERS,
    TYPE_LISTEN, TYPE_SSH, TYPE_ADDRESS, TYPE_RATE, TYPE_REPOSITORIES, TYPE_TEXTS;

bool config_variable_ok(const char *s);         /* the name of an environment variable */

/* The table, ended by path NULL. */
extern const struct config_key config_keys[];
#define EACH_KEY(k) (const struct config_key *k = config_keys; k->path; k++)

const struct config_key *config_key_find(const char *path);
/* The part of a key's path that follows "prefix."; NULL if it is not beneath. "" is above all. */
const char *config_key_beneath(const char *path, const char *prefix);
bool config_is_section(const char *path);
/* For the rows of one struct: those beneath prefix ("", "houses.*") without a further "*". */
void config_defaults_put(const struct config_reader *r, const char *prefix, void *base);
void config_values_clear(const char *prefix, void *base);

/* Where a secret comes from, of which only its value is kept, and where it may go. */
struct config_secret_source {
	char *file, *env, *origin;
};

/* "parent.name"; out has CONFIG_FIELD_MAX bytes. */
void config_join(char *out, const char *parent, const char *name);

/* Messages begin with file and line. The first two return -1. */
int config_fail(const struct config_reader *r, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int config_fail_field(const struct config_reader *r, int line, const char *field, const char *expected,
    const char *got);
void config_warn(const struct config_reader *r, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

int config_document_load(struct config_reader *r, const char *text, size_t len);
yaml_node_t *config_node(struct config_reader *r, int i);
int config_line(const yaml_node_t *n);
/* The line of a dotted path, or of what is nearest above it. */
int config_line_of(struct config_reader *r, const char *path);
const char *config_text(const yaml_node_t *scalar);
/* What stands where nothing was written, or YAML's words for it. */
bool config_is_nothing(const yaml_node_t *n);
/* For messages: as written, so that what a variable holds is not shown. */
const char *config_brief(const yaml_node_t *n);

/* Reads a mapping whose keys are the rows beneath pattern ("houses.*"); shown is its path in messages. */
int config_mapping_read(
    struct config_reader *r, const char *pattern, const char *shown, yaml_node_t *n, void *base);

int config_complete(struct config_reader *r);
int config_check(struct config_reader *r);

#endif
