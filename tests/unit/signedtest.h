/*
 * signedtest.h - the sovereign, played: a key that is always the same, and objects signed with it.
 */
#ifndef UW_SIGNEDTEST_H
#define UW_SIGNEDTEST_H

#include <stdio.h>
#include <string.h>

#include "canonical.h"
#include "coretest.h"
#include "sovereign.h"

static const unsigned char timmy_seed[SIGN_KEY_SIZE] = "timmy, as the tests know him";
static const unsigned char other_seed[SIGN_KEY_SIZE] = "somebody else altogether";

/* The line of houses.yaml that pins it. */
static inline const char *
pinned(void)
{
	static char line[SIGN_TEXT + 40];
	struct sign_key *k = sign_key_from_seed(timmy_seed);
	char text[SIGN_TEXT];

	sign_public_format(sign_key_public(k), text);
	snprintf(line, sizeof line, "sovereign_keys: [\"%s\"]\n", text);
	sign_key_free(k);
	return line;
}

/* members: the payload's without kind and cluster; ' stands for ". The caller frees it. */
static inline char *
sealed_by(const unsigned char *seed, enum sovereign_kind kind, const char *members)
{
	struct sign_key *k = sign_key_from_seed(seed);
	char *text = xstrdup(members);
	struct buf b = { 0 };
	struct err e;
	cJSON *o;

	for (char *p = text; (p = strchr(p, '\''));)
		*p = '"';
	o = json_parse_object(text, strlen(text), &e);
	if (!o || sovereign_seal(&b, kind, "home", o, k, &e))
		fail_msg("%s: %s", e.msg, text);
	cJSON_Delete(o);
	free(text);
	sign_key_free(k);
	return buf_take(&b);
}

static inline char *
sealed(enum sovereign_kind kind, const char *members)
{
	return sealed_by(timmy_seed, kind, members);
}

#define POLICY_REST "'time':1,'houses':{},'production':[],'rules':[],'approval_s':3600,'self_approval':false}"

/* The topic on which the sovereign publishes it. */
static inline void
signed_topic(char *out, enum sovereign_kind kind, const char *id)
{
	snprintf(out, TOPIC_MAX, "uw/home/sovereign/timmy/%s/%s", sovereign_kind_name(kind), id);
}

/* To one core, in a turn of its own. */
static inline void
put_signed(struct coretest *t, enum sovereign_kind kind, const char *id, const char *fmt, ...)
{
	char topic[TOPIC_MAX], members[4096];
	va_list ap;
	char *envelope;

	va_start(ap, fmt);
	vsnprintf(members, sizeof members, fmt, ap);
	va_end(ap);
	envelope = sealed(kind, members);
	signed_topic(topic, kind, id);
	ct_begin(t);
	ct_message(t, (struct mqtt_msg){ .topic = topic, .payload = envelope, .len = strlen(envelope), .qos = 1,
	    .retained = true });
	assert_int_equal(ct_turn(t), 0);
	free(envelope);
}

#endif
