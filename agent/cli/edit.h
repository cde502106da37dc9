/*
 * edit.h - an object in the user's editor: $VISUAL, else $EDITOR, else vi.
 */
#ifndef UW_EDIT_H
#define UW_EDIT_H

#include <cjson/cJSON.h>

#include "err.h"

/* *o is replaced by what was written. -1 with e: it is as it was; what was written and cannot be read is kept in the file
 * that e names. */
int edit_json(cJSON **o, struct err *e);

#endif
