#include "clock.h"
#include "hermes.h"
#include "http.h"
#include "mac.h"
#include "tool.h"
#include "ulid.h"

#define LIMIT_MS 500            /* on this machine; the run does not wait for who follows it */
#define PAUSE_MS 5000           /* after nobody answered */

/* Signed as Hermes signs its own webhooks, with what its events lack: the session, and whose task it is. */
void
hermes_tell(const struct hermes *h, const cJSON *event)
{
	static int64_t not_before_ms;
	const struct config *c = h->r->env->config;
	const struct config_secret *key = config_secret_find(c, c->hermes_webhook_secret);
	struct http_answer a = { 0 };
	struct buf body = { 0 };
	char hex[DIGEST_HEX], url[128], sign[DIGEST_HEX + 8], id[ULID_TEXT];
	struct http_request q = { .content_type = "application/json", .timeout_ms = LIMIT_MS, .connect_ms = LIMIT_MS, .max_body = 1024 };
	struct ulid u;
	struct err e;
	cJSON *headers;

	if (!key || !c->hermes_listen || strcmp(c->hermes_listen, "off") == 0 || clock_mono_ms() < not_before_ms)
		return;
	ulid_now(&u);
	ulid_format(&u, id);
	json_put_open(&body, '{');
	json_kv_str(&body, "hook_event_name", "run");
	json_kv_str(&body, "delivery_id", id);
	json_kv_time(&body, "timestamp", clock_wall_ms());
	json_kv_str(&body, "session_id", h->session);
	json_kv_str(&body, "task", h->r->task_id);
	json_kv_str(&body, "house", h->r->house);
	json_put_key(&body, "run");
	json_put_tree(&body, event);
	json_put_close(&body, '}');
	mac_of(key->value, buf_str(&body), body.len, hex);
	snprintf(sign, sizeof sign, "sha256=%s", hex);
	snprintf(url, sizeof url, "http://%s/hermes", c->hermes_listen);
	headers = cJSON_CreateObject();
	cJSON_AddStringToObject(headers, "X-Hermes-Signature-256", sign);
	q.url = url;
	q.headers = headers;
	q.post = buf_str(&body);
	q.post_len = body.len;
	if (http_run(&q, &a, &e))
		not_before_ms = clock_mono_ms() + PAUSE_MS;
	http_answer_release(&a);
	cJSON_Delete(headers);
	buf_free(&body);
}
