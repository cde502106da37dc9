/*
 * yaml_edit.h - small changes to a YAML text that a person keeps: all else in it stays, comments and order too.
 *
 * A path is names with dots between them, of mappings ("houses.ezra.agents"). The text must be well-formed; each call reads
 * it anew, finds the place by libyaml's marks, and changes only those bytes. Whoever saves the text has the configuration's
 * reader check it first. On failure the text is as it was.
 */
#ifndef UW_YAML_EDIT_H
#define UW_YAML_EDIT_H

struct buf;
struct err;

#define YAML_EDIT_MAX (1u << 20)        /* bytes, as of houses.yaml */

/* value: one line of YAML, flow style if it is a mapping or a list. Takes the place of what is there; what is missing of the
 * path is made, as the last in its mapping. */
int yaml_put(struct buf *text, const char *path, const char *value, struct err *e);

/* The key with its value. 0 also when there is none. */
int yaml_remove(struct buf *text, const char *path, struct err *e);

/* A word at the end of a list, which is made if it is missing; and one out of it. 0 also when it was so already. */
int yaml_list_add(struct buf *text, const char *path, const char *word, struct err *e);
int yaml_list_remove(struct buf *text, const char *path, const char *word, struct err *e);

#endif
