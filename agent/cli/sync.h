/*
 * sync.h - what houses.yaml says of Syncthing, compared with what Syncthing has, and brought there.
 */
#ifndef UW_SYNC_H
#define UW_SYNC_H

#include <stdbool.h>

#include "syncthing.h"

/* Tells each difference in a line: "folder uw-ezra: type is sendreceive, to be sendonly". With apply it is mended, the directory
 * and <dir>/self too. What Syncthing has beside that, other devices and folders, is left alone. Returns how many there are,
 * or -1; what was told before is mended then. self: who this host is. */
int sync_compare(struct syncthing *s, bool apply, const struct config_device **self, void (*tell)(void *arg, const char *line),
    void *arg, struct err *e);

/* Files in the shared directories that Syncthing has put aside as being in conflict. */
long sync_conflicts(const struct config *c, const char *device);

#endif
