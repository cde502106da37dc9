/*
 * reply_to.c - a reply address that stands in the payload, because MQTT 3.1.1 has no response topic.
 */
#include "json.h"
#include "state.h"

static const char *
text_of(const cJSON *o, const char *name)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, name));
}

static int
hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

int
reply_to_correlation(const char *hex, struct buf *out, struct err *e)
{
	for (const char *p = hex; p && p[0]; p += 2) {
		int hi = hex_digit(p[0]), lo = hi < 0 ? -1 : hex_digit(p[1]);

		if (lo < 0)
			return err_field(e, ERR_INVALID, "reply.correlation", hex, "pairs of hexadecimal digits in lower case");
		buf_addc(out, (char)(hi << 4 | lo));
	}
	return 0;
}

static void
answer_there(const struct mqtt_msg **m, struct reply_to *r)
{
	r->m = **m;
	r->m.response_topic = r->topic;
	r->m.correlation = r->correlation.data;
	r->m.correlation_len = r->correlation.len;
	*m = &r->m;
}

/* With "from" of the router, "reply" is the address of him for whom it speaks; its own is known. */
int
reply_to_take(const struct core *c, const cJSON *o, const char *sender, const struct mqtt_msg **m, struct reply_to *r,
    struct err *e)
{
	const cJSON *reply = cJSON_GetObjectItemCaseSensitive(o, "reply");
	const char *from = text_of(o, "from"), *topic = text_of(reply, "topic");
	bool routed = from && from[0] && config_names_has(&c->o.config->router, sender);

	if (!*m || (*m)->response_topic || (!routed && !topic))
		return 0;
	if (!routed && !out_reply_allowed(c, topic, sender))
		return err_field(e, ERR_DENIED, "reply.topic", topic, "uw/%s/client/%s/reply/<any>", c->o.config->cluster, sender);
	if (!routed && reply_to_correlation(text_of(reply, "correlation"), &r->correlation, e))
		return -1;
	if (routed)
		topic_format(r->topic, c->o.config->cluster, TOPIC_REPLY, sender, REPLY_TO_ROUTER);
	else
		snprintf(r->topic, sizeof r->topic, "%s", topic);
	answer_there(m, r);
	return 0;
}
