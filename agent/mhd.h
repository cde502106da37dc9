/*
 * mhd.h - libmicrohttpd, loaded when somebody first asks an agent over HTTP.
 *
 * With GnuTLS, which it brings, it costs every process of ours 2.7 MB of resident memory before its first line runs.
 * So it is not linked: types and options come from <microhttpd.h>, the functions are looked up.
 */
#ifndef UW_MHD_H
#define UW_MHD_H

#include <microhttpd.h>

struct err;

/* Every function we call, by its name without "MHD_". */
#define MHD_FUNCTIONS(X)            \
	X(start_daemon)                    \
	X(stop_daemon)                     \
	X(is_feature_supported)            \
	X(create_response_from_buffer)     \
	X(create_response_from_callback)   \
	X(add_response_header)             \
	X(queue_response)                  \
	X(destroy_response)                \
	X(lookup_connection_value)         \
	X(get_connection_values)           \
	X(get_connection_info)             \
	X(set_connection_option)

struct mhd_api {
#define X(name) __typeof__(MHD_##name) *name;
	MHD_FUNCTIONS(X)
#undef X
};

/* The same table every time; NULL with ERR_NOT_FOUND where there is no libmicrohttpd. Not thread-safe. */
const struct mhd_api *mhd_load(struct err *e);

#endif
