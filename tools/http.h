/*
 * http.h - one HTTP request over libcurl: bounded in time, size, redirects and where it may go.
 *
 * Only http and https; proxies from the environment are not used, for they would connect in our place
 * to what we refuse (net.h). From https a redirect leads only to https.
 */
#ifndef UW_HTTP_H
#define UW_HTTP_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

struct config_secret;
struct err;
struct tool_run;

#define HTTP_MAX_HEADERS 100            /* either way */
#define HTTP_MAX_HEADER_BYTES 16384
#define HTTP_MAX_REDIRECTS 10

struct http_request {
	const char *url;
	const char *method;             /* NULL: GET, or POST if there is a body */
	const char *post;               /* body; NULL: none */
	size_t post_len;
	const char *content_type;       /* of the body */
	const cJSON *headers;           /* names and texts, or NULL */
	const struct config_secret *secret;     /* sent as bearer token to its origin, or NULL */
	struct buf ca;                  /* PEM: trust these instead of the system's; empty: the system's */
	int64_t max_redirects;          /* 0: a redirect is the answer */
	int64_t timeout_ms, connect_ms;
	size_t max_body;                /* bytes that are kept; the transfer ends after them */
	const struct tool_run *run;     /* is told how far it is; NULL: nobody is */
	void (*on_send)(void *arg);     /* connected: what follows may have an effect */
	void (*on_body)(void *arg, const char *p, size_t len);  /* gets the body as it comes; nothing is kept */
	bool (*is_over)(void *arg);     /* asked at least once a second, and after signals: ends the transfer */
	int64_t silence_s;              /* without a byte: the peer is gone; 0: until timeout_ms */
	void *arg;
	void **line;                    /* what is kept between requests, so that connections are; NULL: nothing is */
};

struct http_header {
	char *name, *value;
};

struct http_answer {
	int status;
	struct http_header headers[HTTP_MAX_HEADERS];
	size_t nheaders, header_bytes;
	bool headers_cut;
	struct buf body;
	bool cut;                       /* there is more body than max_body */
	bool ended;                     /* is_over said so */
	char *type;                     /* Content-Type or NULL */
	char *url;                      /* the last one, after redirects */
	char address[64];
	int version;                    /* 11, 20, ...; 0: unknown */
	int64_t length;                 /* Content-Length, -1: not told */
	int64_t redirects;
	int64_t retry_after_s;          /* 0: not told */
	int64_t dns_us, connect_us, tls_us, first_byte_us, total_us;
};

/* 0 once there is an answer, whatever its status. ERR_INVALID names the parameter; ERR_DENIED, ERR_NETWORK,
 * ERR_TIMEOUT, ERR_TOOL (too many redirects, not HTTP). */
int http_run(const struct http_request *q, struct http_answer *a, struct err *e);
void http_answer_release(struct http_answer *a);

/* The value of a header, by its name in lower case; NULL if there is none. */
const char *http_answer_header(const struct http_answer *a, const char *name);

/* What a request's line holds, NULL at first; then it is NULL again. */
void http_line_close(void **line);

/* "http://host:port/path", without query and fragment, for messages; "?" if it is no URL. */
void http_url_brief(const char *url, char *out, size_t size);

/* "https://host/path" of a URL, as libcurl itself understands it and place_url() writes it. */
int http_place(const char *url, struct buf *place, struct err *e);

/* The parameters that both tools have: url, headers, secret, ca_file, max_redirects, timeout_s,
 * connect_timeout_s, max_bytes. http_request_release() in any case. */
int http_request_read(const struct tool_run *r, struct http_request *q, struct err *e);
void http_request_release(struct http_request *q);

/* The file that ca_file names, if it names one. */
int http_ca_read(const struct tool_run *r, struct buf *ca, struct err *e);

#define HTTP_SCHEMA \
	"\"url\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":8192," \
	"\"description\":\"http or https, without user name and password.\"}," \
	"\"headers\":{\"type\":\"object\",\"additionalProperties\":" \
	"{\"type\":\"string\",\"maxLength\":8192}," \
	"\"description\":\"Request headers; credentials are given by secret.\"}," \
	"\"secret\":{\"type\":\"string\",\"pattern\":\"^[A-Z][A-Z0-9_]*$\",\"maxLength\":64," \
	"\"description\":\"A configured secret, sent as bearer token; it has to be for this origin.\"}," \
	"\"ca_file\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":4096," \
	"\"description\":\"PEM file beneath a root: trust these authorities instead of the system's.\"}," \
	"\"max_redirects\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":10,\"default\":0," \
	"\"description\":\"How many redirects are followed; with 0 a redirect is the answer.\"}," \
	"\"timeout_s\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":3600,\"default\":30," \
	"\"description\":\"For the whole request.\"}," \
	"\"connect_timeout_s\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":300,\"default\":10," \
	"\"description\":\"For name, connection and TLS.\"}," \
	"\"max_bytes\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":4194304,\"default\":131072," \
	"\"description\":\"Of the body; the transfer ends there, and truncated says so.\"}"

/* Statuses by which a server says that it may go well later. */
extern const struct retry_rule http_retry;
extern const struct target_rule http_target;

/* The answer as the result of a tool; a status from 400 on is ERR_TOOL. Secrets are masked. */
int http_answer_put(struct tool_run *r, const struct http_request *q, struct http_answer *a,
    struct buf *result, struct err *e);

#endif
