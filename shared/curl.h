/*
 * curl.h - libcurl, loaded when it is first needed.
 *
 * Linking libcurl costs every process of ours about 6 MB of resident memory before its first line
 * runs (it brings LDAP, Kerberos, SSH and HTTP/2 with it), half of what an idle agent may use. So it
 * is never linked: a worker that makes its first request loads it with dlopen(3), the agent never
 * does. Types and options come from <curl/curl.h>, only the functions are looked up.
 *
 * const struct curl_api *curl = curl_load(e);  ...  CURL *h = curl->easy_init();
 */
#ifndef UW_CURL_H
#define UW_CURL_H

#include <curl/curl.h>

struct err;

/* Every function we call, by its name without "curl_". */
#define CURL_FUNCTIONS(X) \
	X(global_init)    \
	X(version_info)   \
	X(easy_init)      \
	X(easy_cleanup)   \
	X(easy_reset)     \
	X(easy_setopt)    \
	X(easy_perform)   \
	X(easy_getinfo)   \
	X(easy_strerror)  \
	X(slist_append)   \
	X(slist_free_all) \
	X(url)            \
	X(url_cleanup)    \
	X(url_get)        \
	X(url_set)        \
	X(free)

struct curl_api {
#define X(name) __typeof__(curl_##name) *name;
	CURL_FUNCTIONS(X)
#undef X
};

/* The same table every time; NULL with ERR_NOT_FOUND where there is no libcurl. Not thread-safe. */
const struct curl_api *curl_load(struct err *e);

#endif
