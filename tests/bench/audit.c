/*
 * audit.c - what recording one simple task costs an agent: digests of its parameters and its outcome, packing, and its
 * part of a page's digest, seal and signature.
 *
 * audit RECORDS PAGE      PAGE records a page, as many as share a commit. Microseconds of CPU a record.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "audit.h"
#include "dsse.h"
#include "sign.h"

struct chain {
	struct digest *digest;
	struct sign_key *key;
	struct audit_pack pack;
	unsigned char hash[DIGEST_SIZE];
	struct buf seal, envelope;
};

static double
cpu_us(void)
{
	return (double)clock() * 1e6 / CLOCKS_PER_SEC;
}

static void
record(struct chain *c, long n)
{
	char params[40], outcome[240];
	struct audit_record r = { .n = n, .accepted = 1796001520000 + n / 40, .started = 1796001520000 + n / 40,
		.ended = 1796001520005 + n / 40, .attempt = 1, .run_us = 2 + n % 7 };

	memset(params, 'x', sizeof params);
	memset(outcome, 'y', sizeof outcome);
	memcpy(params, &n, sizeof n);
	memcpy(outcome, &n, sizeof n);
	memcpy(r.task.b + 8, &n, sizeof n);
	r.agent = r.executor = audit_text("bench-1");
	r.cluster = audit_text("home");
	r.host = audit_text("machine");
	r.house = audit_text("bench");
	r.role = audit_text("outcome");
	r.sender = audit_text("operator");
	r.state = audit_text("succeeded");
	r.store = audit_text("1a2b3c4d");
	r.term = audit_text("1.bench-1.1a2b3c4d");
	r.tool = audit_text("noop");
	r.tool_digest = audit_text("9df8d84c3e0c9d6fbee89e1c80af2b6cf2335bb3bc1036cabe8e4d51bc187ee1");
	r.version = audit_text("4.0.0");
	r.params.set = r.outcome.set = true;
	digest_of(c->digest, params, sizeof params, r.params.b);
	digest_of(c->digest, outcome, sizeof outcome, r.outcome.b);
	audit_pack_add(&c->pack, &r);
}

static void
seal(struct chain *c, long page, long first, long count)
{
	struct audit_seal s = { .agent = "bench-1", .cluster = "home", .store = "1a2b3c4d", .page = page, .first = first,
		.count = count, .time = 1796001520000 };
	unsigned char sum[DIGEST_SIZE];

	digest_of(c->digest, c->pack.out.data, c->pack.out.len, sum);
	digest_format(sum, s.records);
	digest_format(c->hash, s.before);
	buf_clear(&c->seal);
	buf_clear(&c->envelope);
	audit_put_seal(&c->seal, &s);
	audit_chain(c->digest, c->hash, c->seal.data, c->seal.len);
	dsse_make(&c->envelope, AUDIT_STATEMENT_PAYLOAD, c->seal.data, c->seal.len, c->key);
}

int
main(int argc, char **argv)
{
	struct chain c = { .digest = digest_new(), .key = sign_key_new() };
	long records = argc > 1 ? strtol(argv[1], NULL, 10) : 0, page = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
	double from;

	if (records < 1 || page < 1) {
		fputs("usage: audit RECORDS PAGE\n", stderr);
		return 2;
	}
	from = cpu_us();
	for (long n = 0; n < records; n += page) {
		audit_pack_begin(&c.pack);
		for (long i = 0; i < page; i++)
			record(&c, n + i + 1);
		seal(&c, n / page + 1, n + 1, page);
	}
	printf("audit_us %.3f\n", (cpu_us() - from) / (double)records);
	audit_pack_free(&c.pack);
	buf_free(&c.seal);
	buf_free(&c.envelope);
	sign_key_free(c.key);
	digest_free(c.digest);
	return 0;
}
