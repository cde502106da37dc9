/*
 * host_add.h - the steps of `uni-wizard host add`, `remove` and `rotate-cert`; see steps.h. Each works on a struct host_job whose
 * host is chosen and whose text is as it is to be.
 */
#ifndef UW_HOST_ADD_H
#define UW_HOST_ADD_H

#include "host_job.h"
#include "steps.h"

extern const struct step host_add_steps[], host_remove_steps[], host_rotate_steps[];

/* The newest file for that architecture among these places: beside this program, where packages keep theirs. NULL: none. The
 * caller frees. */
char *host_package_find(const char *arch);
/* Of "uni-wizard_4.0.0-1_amd64.deb": false if it is not called like that. */
bool host_package_name(const char *path, char *version, size_t vsize, char *arch, size_t asize);

#endif
