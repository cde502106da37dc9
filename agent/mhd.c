#include "mhd.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>

#include "err.h"

#ifdef __APPLE__
#define LIBRARY "libmicrohttpd.12.dylib"
#define HOW "brew install libmicrohttpd"
#else
#define LIBRARY "libmicrohttpd.so.12"
#define HOW "Debian: apt install libmicrohttpd12"
#endif

static struct mhd_api api;

static const struct {
	const char *name;
	void *slot;
} functions[] = {
#define X(name) { "MHD_" #name, &api.name },
	MHD_FUNCTIONS(X)
#undef X
};

const struct mhd_api *
mhd_load(struct err *e)
{
	static void *lib;

	if (lib)
		return &api;
	lib = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!lib) {
		err_set(e, ERR_NOT_FOUND, "%s is missing (%s): %s", LIBRARY, HOW, dlerror());
		return NULL;
	}
	for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
		void *f = dlsym(lib, functions[i].name);

		if (!f) {
			err_set(e, ERR_NOT_FOUND, "%s is too old: it has no %s", LIBRARY, functions[i].name);
			dlclose(lib);
			lib = NULL;
			return NULL;
		}
		/* A function's address in an object pointer: POSIX says that it may be copied so. */
		memcpy(functions[i].slot, &f, sizeof f);
	}
	return &api;
}
