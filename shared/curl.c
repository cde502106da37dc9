#include "curl.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>

#include "err.h"

#ifdef __APPLE__
#define LIBRARY "libcurl.4.dylib"
#define HOW "it comes with macOS"
#else
#define LIBRARY "libcurl.so.4"
#define HOW "Debian: apt install libcurl4"
#endif

#define OLDEST 0x075500         /* 7.85.0: protocols by name, and a call between connecting and sending */

static struct curl_api api;

static const struct {
	const char *name;
	void *slot;
} functions[] = {
#define X(name) { "curl_" #name, &api.name },
	CURL_FUNCTIONS(X)
#undef X
};

static int
look_up(void *lib, struct err *e)
{
	for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
		void *f = dlsym(lib, functions[i].name);

		if (!f)
			return err_set(e, ERR_NOT_FOUND, "%s is too old: it has no %s", LIBRARY,
			    functions[i].name);
		/* A function's address in an object pointer: POSIX says that it may be copied so. */
		memcpy(functions[i].slot, &f, sizeof f);
	}
	return 0;
}

/* Never unloaded: it registers itself with OpenSSL, which ends after it. */
const struct curl_api *
curl_load(struct err *e)
{
	static void *lib;
	static bool ready;

	if (ready)
		return &api;
	if (!lib)
		lib = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!lib) {
		err_set(e, ERR_NOT_FOUND, "HTTP needs %s (%s): %s", LIBRARY, HOW, dlerror());
		return NULL;
	}
	if (look_up(lib, e))
		return NULL;
	if (api.version_info(CURLVERSION_NOW)->version_num < OLDEST) {
		err_set(e, ERR_NOT_FOUND, "libcurl %s is too old, 7.85 is needed",
		    api.version_info(CURLVERSION_NOW)->version);
		return NULL;
	}
	if (api.global_init(CURL_GLOBAL_DEFAULT)) {
		err_set(e, ERR_INTERNAL, "libcurl does not start");
		return NULL;
	}
	ready = true;
	return &api;
}
