/*
 * web.h - the files in agent/web, compiled in: agent/web.sh writes them as C.
 */
#ifndef UW_WEB_H
#define UW_WEB_H

#include <stddef.h>

struct web_file {
	const char *name, *type;
	const unsigned char *data;
	size_t len;
};

extern const struct web_file web_files[];       /* the last has no name */

#endif
