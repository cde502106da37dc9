#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "buf.h"
#include "config.h"
#include "err.h"

static struct config conf;
static struct buf warnings;

static void
keep(const char *msg, void *arg)
{
	buf_addf(arg, "%s\n", msg);
}

static int
read_text(const char *text, struct err *e)
{
	buf_clear(&warnings);
	*e = (struct err){ 0 };
	return config_parse(&conf, "/etc/uw/houses.yaml", text, strlen(text), keep, &warnings, e);
}

static void
good(const char *text)
{
	struct err e;

	if (read_text(text, &e))
		fail_msg("%s", e.msg);
}

/* What follows "/etc/uw/houses.yaml:" in the message. */
static void
bad(const char *text, const char *msg)
{
	static const char start[] = "/etc/uw/houses.yaml:";
	struct err e;

	if (!read_text(text, &e))
		fail_msg("accepted: %s", text);
	assert_int_equal(e.code, ERR_CONFIG);
	assert_memory_equal(e.msg, start, sizeof start - 1);
	assert_string_equal(e.msg + sizeof start - 1, msg);
	assert_int_equal(conf.nhouses, 0);
}

static void
done(void)
{
	config_release(&conf);
	buf_free(&warnings);
}

#define HOUSE "houses: {ezra: }\n"

static void
are(const struct config_names *names, const char *expected)
{
	struct buf b = { .max = 4096 };

	for (size_t i = 0; i < names->n; i++)
		buf_addf(&b, "%s%s", i ? " " : "", names->v[i]);
	assert_string_equal(buf_str(&b), expected);
	buf_free(&b);
}

static const char founding[] =
    "# /etc/uni-wizard/houses.yaml\n"
    "houses:\n"
    "  timmy:\n"
    "    endpoint: http://192.168.1.100:8643  # Local Mac\n"
    "    auth_token: ${TIMMY_TOKEN}\n"
    "    priority: critical\n"
    "  allegro:\n"
    "    endpoint: http://localhost:8643\n"
    "    role: tempo-and-dispatch\n"
    "  ezra:\n"
    "    endpoint: http://143.198.27.163:8643\n"
    "    role: archivist\n"
    "  bezalel:\n"
    "    endpoint: http://67.205.155.108:8643\n"
    "    role: artificer\n";

static void
the_founding_file_is_valid_without_its_token(void **state)
{
	(void)state;
	unsetenv("TIMMY_TOKEN");
	good(founding);
	assert_int_equal(conf.nhouses, 4);
	assert_string_equal(conf.houses[0].name, "timmy");
	assert_string_equal(conf.houses[0].endpoint, "http://192.168.1.100:8643");
	assert_null(conf.houses[0].auth_token);
	assert_string_equal(conf.houses[0].priority, "critical");
	assert_string_equal(conf.houses[0].role, "judgement");
	assert_string_equal(conf.houses[2].role, "archivist");
	assert_string_equal(conf.houses[2].priority, "normal");
	assert_string_equal(conf.houses[2].agents.v[0], "ezra-1");
	are(&conf.houses[2].candidates, "ezra-1 timmy-1 allegro-1");
	are(&conf.router, "allegro-1 timmy-1 ezra-1");
	assert_non_null(strstr(
	    buf_str(&warnings), "houses.yaml:5: houses.timmy.auth_token: environment variable TIMMY_TOKEN"));
	assert_null(strstr(buf_str(&warnings), "localhost"));
	done();
	setenv("TIMMY_TOKEN", "s3cret", 1);
	good(founding);
	assert_string_equal(conf.houses[0].auth_token, "s3cret");
	assert_null(strstr(buf_str(&warnings), "s3cret"));
	done();
	unsetenv("TIMMY_TOKEN");
}

static void
everything_has_a_default(void **state)
{
	(void)state;
	good(HOUSE);
	assert_string_equal(conf.cluster, "home");
	assert_string_equal(conf.identity, "operator");
	assert_string_equal(conf.sovereign, "timmy");
	assert_int_equal(conf.nbrokers, 1);
	assert_string_equal(conf.brokers[0].host, "localhost");
	assert_int_equal(conf.brokers[0].port, 8883);
	assert_string_equal(conf.pki_dir, "/etc/uw/pki");
	are(&conf.router, "ezra-1");
	are(&conf.houses[0].candidates, "ezra-1");
	are(&conf.witnesses, "");
	assert_string_equal(conf.houses[0].copies, "all");
	assert_true(config_names_has(&conf.operators, "operator"));
	assert_true(config_names_has(&conf.watchers, "watcher"));
	assert_int_equal(conf.max_payload_bytes, 1 << 20);
	assert_int_equal(conf.keep_finished_s, 7 * 86400);
	assert_int_equal(conf.worker_memory_bytes, (int64_t)2 << 30);
	assert_string_equal(buf_str(&warnings), "");
	done();
}

static void
it_is_said_where_http_is_answered(void **state)
{
	static const struct {
		const char *text, *agent, *address;
		int port;
		bool loopback;
	} cases[] = {
		{ "houses: {ezra: }\n", "ezra-1", "127.0.0.1", 8643, true },
		{ "houses: {ezra: {endpoint: 'http://localhost:9000/'}}\n", "ezra-1", "127.0.0.1", 9000, true },
		{ "houses: {ezra: {endpoint: 'http://203.0.113.1'}}\n", "ezra-1", "127.0.0.1", 8643, true },
		{ "houses: {ezra: {endpoint: 'https://[2001:db8::1]:77/x'}}\n", "ezra-1", "127.0.0.1", 77, true },
		{ "houses: {ezra: }\nwitnesses: [w]\n", "w", "127.0.0.1", 8643, true },
		{ "houses: {ezra: }\nhttp: {listen: '127.0.0.2:0'}\n", "ezra-1", "127.0.0.2", 0, true },
		{ "houses: {ezra: }\nhttp: {listen: '[::1]:5'}\n", "ezra-1", "::1", 5, true },
		{ "houses: {ezra: }\nhttp: {listen: '[::]:8643'}\n", "ezra-1", "::", 8643, false },
		{ "houses: {ezra: }\nhttp: {listen: '0.0.0.0:8643'}\n", "ezra-1", "0.0.0.0", 8643, false },
	};
	char address[64];
	bool loopback;
	int port;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		good(cases[i].text);
		assert_true(config_http(&conf, cases[i].agent, address, sizeof address, &port, &loopback));
		assert_string_equal(address, cases[i].address);
		assert_int_equal(port, cases[i].port);
		assert_int_equal(loopback, cases[i].loopback);
		done();
	}
	good("houses: {ezra: }\npki: /p\nhttp: {listen: off}\n");
	assert_false(config_http(&conf, "ezra-1", address, sizeof address, &port, &loopback));
	assert_string_equal(conf.http_certificate, "/p/http.crt");
	assert_string_equal(conf.http_key, "/p/http.key");
	done();
	for (const char *const *p = (const char *const[]){ "localhost:8643", "127.0.0.1", "127.0.0.1:70000", "1.2.3:5", NULL }; *p;
	    p++) {
		char text[80], msg[200];

		snprintf(text, sizeof text, "houses: {ezra: }\nhttp: {listen: '%s'}\n", *p);
		snprintf(msg, sizeof msg, "2: http.listen: expected address:port with a numeric address, such as 127.0.0.1:8643 or "
		    "[::]:8643, or off, got %s", *p);
		bad(text, msg);
	}
}

static void
values_are_read(void **state)
{
	(void)state;
	good("brokers: ['mqtts://a.example:1', b.example, '[::1]:2']\n"
	     "pki: /p\nstate: s/t\noperators: []\nwatchers: [w]\nidentity: w\nrouter: [e-2]\n"
	     "houses: {ezra: {agents: [e-1, e-2, e-3], candidates: [e-2, e-1], copies: 1}}\n"
	     "retention: {finished_s: 24h, keys_s: 30m, finished: 5}\n"
	     "limits: {payload_bytes: 64KiB, task_bytes: 2048, outbox_bytes: 1GiB, min_free_bytes: 0}\n"
	     "workers: {timeout_cap_s: 45s}\ntools: {roots: [/srv, rel]}\n");
	assert_int_equal(conf.nbrokers, 3);
	assert_int_equal(conf.brokers[0].port, 1);
	assert_int_equal(conf.brokers[1].port, 8883);
	assert_string_equal(conf.brokers[2].host, "::1");
	assert_string_equal(conf.pki_dir, "/p");
	assert_string_equal(conf.state_dir, "/etc/uw/s/t");
	assert_int_equal(conf.operators.n, 0);
	are(&conf.houses[0].candidates, "e-2 e-1");
	assert_string_equal(conf.houses[0].copies, "1");
	assert_int_equal(conf.keep_finished_s, 86400);
	assert_int_equal(conf.keep_keys_s, 1800);
	assert_int_equal(conf.max_payload_bytes, 65536);
	assert_int_equal(conf.max_outbox_bytes, (int64_t)1 << 30);
	assert_int_equal(conf.min_free_bytes, 0);
	assert_int_equal(conf.max_timeout_s, 45);
	assert_string_equal(conf.roots.v[1], "/etc/uw/rel");
	done();
}

static void
a_house_is_stood_in_for_by_others_up_to_three(void **state)
{
	(void)state;
	good("houses:\n  a: {agents: [a-1, a-2, a-3, a-4, a-5]}\n  b: {agents: [b-1, b-2]}\n  c:\n"
	     "  d: {candidates: [d-1]}\n");
	are(&conf.houses[0].candidates, "a-1 a-2 a-3 a-4 a-5");
	are(&conf.houses[1].candidates, "b-1 b-2 a-1");
	are(&conf.houses[2].candidates, "c-1 a-1 a-2");
	are(&conf.houses[3].candidates, "d-1");
	are(&conf.router, "a-1 a-2 a-3");
	done();
	good("houses:\n  a:\n  b:\n  allegro: {agents: [l-1, l-2]}\nrouter: [b-1]\n");
	are(&conf.router, "b-1");
	done();
	good("houses:\n  a:\n  b:\n  allegro: {agents: [l-1, l-2]}\n");
	are(&conf.router, "l-1 l-2 a-1");
	done();
}

static void
a_witness_votes_and_owns_nothing(void **state)
{
	config_name voters[5];

	(void)state;
	good("houses: {a: {agents: [a-1, a-2]}, b: {}}\nwitnesses: [w-1, w-2]\nbrokers: [x, y]\n");
	are(&conf.witnesses, "w-1 w-2");
	are(&conf.houses[1].candidates, "b-1 a-1 a-2");
	are(&conf.router, "a-1 a-2 b-1");
	assert_int_equal(config_voters(&conf, NULL, 0), 5);
	assert_int_equal(config_voters(&conf, voters, 4), 5);
	assert_string_equal(voters[0], "a-1");
	assert_string_equal(voters[3], "w-1");
	assert_int_equal(config_voters(&conf, voters, 5), 5);
	assert_string_equal(voters[4], "w-2");
	assert_int_equal(config_identity_kind(&conf, "w-2"), IDENTITY_AGENT);
	assert_null(config_home(&conf, "w-2"));
	assert_string_equal(buf_str(&warnings), "");
	done();
	bad(HOUSE "witnesses: [ezra-1]\n", "2: witnesses: ezra-1 is an agent of ezra and votes already");
	bad(HOUSE "witnesses: [timmy]\n",
	    "2: witnesses: timmy is a person's name (sovereign, operators, watchers)");
	bad("houses: {ezra: {candidates: [ezra-1, w]}}\nwitnesses: [w]\n",
	    "1: houses.ezra.candidates: w is a witness, which owns nothing");
	bad(HOUSE "router: [w]\nwitnesses: [w]\n", "2: router: w is a witness, which owns nothing");
	bad(HOUSE "witnesses: [w, w]\n", "2: witnesses: w is given twice");
}

static void
an_agent_of_no_house_may_route(void **state)
{
	config_name voters[4];

	(void)state;
	good("houses: {a: , b: }\nrouter: [gate, b-1]\nwitnesses: [w]\n");
	are(&conf.router, "gate b-1");
	are(&conf.routers, "gate");
	are(&conf.houses[0].candidates, "a-1 b-1");
	assert_int_equal(config_voters(&conf, voters, 4), 4);
	assert_string_equal(voters[2], "gate");
	assert_string_equal(voters[3], "w");
	assert_int_equal(config_identity_kind(&conf, "gate"), IDENTITY_AGENT);
	assert_null(config_home(&conf, "gate"));
	done();
	good("houses: {a: , b: }\nrouter: [b-1]\n");
	are(&conf.routers, "");
	done();
	bad(HOUSE "router: [timmy]\n", "2: router: timmy is a person's name (sovereign, operators, watchers)");
	bad(HOUSE "router: [ezra-2]\n", "2: router: no house has an agent ezra-2; did you mean ezra-1?");
	bad(HOUSE "router: [gate]\nwitnesses: [gate]\n", "2: router: gate is a witness, which owns nothing");
	bad("houses: {ezra: {candidates: [ezra-1, gate]}}\nrouter: [gate]\n",
	    "1: houses.ezra.candidates: no house has an agent gate");
}

static void
two_brokers_need_a_majority(void **state)
{
	(void)state;
	bad("houses: {a: , b: }\nbrokers: [x, y]\n",
	    "2: brokers: 2 brokers need at least three voters (agents and witnesses), there are 2");
	bad(HOUSE "witnesses: [w]\nbrokers: [x, y]\n",
	    "3: brokers: 2 brokers need at least three voters (agents and witnesses), there are 2");
	good("houses: {a: , b: }\nwitnesses: [w]\nbrokers: [x, y]\n");
	assert_string_equal(buf_str(&warnings), "");
	done();
	good("houses: {a: , b: , c: }\nwitnesses: [w]\nbrokers: [x, y]\n");
	assert_non_null(strstr(buf_str(&warnings),
	    "houses.yaml:3: brokers: 4 agents and witnesses vote on the broker; an odd number stands more faults"));
	done();
	/* One broker: nobody votes. */
	good("houses: {a: , b: }\nwitnesses: [w, v]\n");
	assert_string_equal(buf_str(&warnings), "");
	done();
}

static void
a_wrong_value_names_line_key_expected_and_got(void **state)
{
	(void)state;
	bad("houses:\n  ezra:\n    agents: 7\n",
	    "3: houses.ezra.agents: expected a list of names ([a-z0-9-], at most 32), got 7");
	bad("houses:\n  ezra:\n    agents:\n    - ok\n    - Not\n",
	    "5: houses.ezra.agents: expected a list of names ([a-z0-9-], at most 32), got Not");
	bad("houses:\n  ezra:\n    role: boss\n",
	    "3: houses.ezra.role: expected one of judgement, archivist, artificer, "
	    "tempo-and-dispatch, worker, got boss");
	bad(HOUSE "limits: {queued: 1_000}\n",
	    "2: limits.queued: expected a whole number from 1 to 100000000, got 1_000");
	bad(HOUSE "limits: {queued: 010}\n",
	    "2: limits.queued: expected a whole number from 1 to 100000000, got 010");
	bad(HOUSE "limits: {queued: 99999999999999999999}\n",
	    "2: limits.queued: expected a whole number from 1 to 100000000, got 99999999999999999999");
	bad(HOUSE "limits: {queued: }\n",
	    "2: limits.queued: expected a whole number from 1 to 100000000, got nothing");
	bad(HOUSE "limits: 5\n", "2: limits: expected a mapping (key: value), got 5");
	bad(HOUSE "workers: {memory_bytes: 2GB}\n",
	    "2: workers.memory_bytes: expected a size (bytes, KiB, MiB, GiB) from 0 to 1024GiB, got 2GB");
	bad(HOUSE "retention: {finished_s: 1s}\n",
	    "2: retention.finished_s: expected a time (45s, 30m, 24h, 7d) from 1m to 3650d, got 1s");
	bad(HOUSE "cluster: a/b\n", "2: cluster: expected a name ([a-z0-9-], at most 32), got a/b");
	bad(HOUSE "cluster: [a]\n", "2: cluster: expected a name ([a-z0-9-], at most 32), got a list");
	bad(HOUSE "pki: ~/x\n", "2: pki: expected a path (write ${HOME}, not ~), got ~/x");
	bad("houses: {ezra: {endpoint: 'ftp://x'}}\n",
	    "1: houses.ezra.endpoint: expected http://host:port or https://host:port, got ftp://x");
	bad("houses: {ezra: {copies: 2}}\n", "1: houses.ezra.copies: expected one of all, 1, got 2");
	bad("houses: {ezra: {agents: []}}\n", "1: houses.ezra.agents: expected 1 to 32 items, got 0");
	bad("houses: {Ezra: }\n", "1: houses: expected names of houses ([a-z0-9-], at most 32), got Ezra");
	bad("houses: [ezra]\n", "1: houses: expected a mapping from names, got a list");
	bad("cluster: x\n", "1: houses: expected at least one house, got none");
	bad("", "1: expected at least houses: with one house, got an empty file");
	bad("just text\n", "1: top level: expected a mapping (key: value), got just text");
}

static void
brokers_are_host_and_port_over_tls(void **state)
{
	static const char *const wrong[] = {
		"mqtt://a:1", "a:0", "a:65536", ":1", "'a b'", "a/b", "'[::1'", "'[]:1'", "a:1x", "http://a:1",
	};
	char text[128], msg[160];

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		const char *w = wrong[i];
		int quoted = w[0] == '\'';

		snprintf(text, sizeof text, HOUSE "brokers:\n- %s\n", w);
		snprintf(msg, sizeof msg,
		    "3: brokers: expected a list of host:port or mqtts://host:port, got %.*s",
		    (int)strlen(w) - 2 * quoted, w + quoted);
		bad(text, msg);
	}
	bad(HOUSE "brokers:\n- a:\n",
	    "3: brokers: expected a list of host:port or mqtts://host:port, got a mapping");
	bad(HOUSE "brokers: [a, b]\n", 
	    "2: brokers: 2 brokers need at least three voters (agents and witnesses), there is 1");
}

static void
an_unknown_key_is_an_error_with_the_nearest(void **state)
{
	(void)state;
	bad(HOUSE "clutser: x\n", "2: clutser: no such key; did you mean cluster?");
	bad("houses:\n  ezra:\n    agnets: [x]\n",
	    "3: houses.ezra.agnets: no such key; did you mean agents?");
	bad(HOUSE "limits: {queue: 5}\n", "2: limits.queue: no such key; did you mean queued?");
	bad(HOUSE "zzzzzzzz: 1\n", "2: zzzzzzzz: no such key");
	bad(HOUSE "'houses.*.endpoint': http://x\n", "2: houses.*.endpoint: no such key");
	bad(HOUSE "limits.queued: 5\n", "2: limits.queued: no such key");
	bad(HOUSE "? [a]\n: b\n", "2: top level: expected a key, got a list");
}

static void
what_yaml_makes_easy_to_get_wrong_is_refused(void **state)
{
	(void)state;
	bad("houses:\n  ezra:\n  ezra:\n", "3: houses.ezra: given twice, first on line 2");
	bad("cluster: a\ncluster: b\n" HOUSE, "2: cluster: given twice, first on line 1");
	bad("houses:\n\tezra:\n", "2: a tab in the indentation; YAML wants spaces");
	bad(HOUSE "---\n" HOUSE, "2: a second document begins (---); expected one");
	bad("houses: &h {ezra: }\n",
	    "1: anchors and aliases (& and *) are not used here; put text that begins with them in quotes");
	bad("houses: *h\n",
	    "1: anchors and aliases (& and *) are not used here; put text that begins with them in quotes");
	bad("houses: !!map {ezra: }\n",
	    "1: tags (!) are not used here; put text that begins with ! in quotes");
	bad(HOUSE "cluster: [[[[[[[[[[[[\n", "2: nested too deeply");
	bad(HOUSE "pki: \"a\\0b\"\n", "2: pki: expected text without control characters");
	bad(HOUSE "pki: \"a\\eb\"\n", "2: pki: expected text without control characters");
	bad("houses: {ezra: {agents: [a, a]}}\n", "1: houses.ezra.agents: a is given twice");
	bad("houses: {ezra\n",
	    "2: not valid YAML: did not find expected ',' or '}', while parsing a flow mapping on line 1");
	bad("\xff\xfe", "1: not valid YAML: invalid leading UTF-8 octet (byte 0)");
}

static void
a_file_that_is_too_large_is_refused(void **state)
{
	size_t len = (1u << 20) + 1;
	char *text = malloc(len);
	struct err e = { 0 };

	(void)state;
	memset(text, '#', len);
	assert_int_equal(config_parse(&conf, "x", text, len, NULL, NULL, &e), -1);
	assert_string_equal(e.msg, "x: larger than 1048576 bytes");
	free(text);
	done();
}

/* Each of these took quadratic time or worse in readers that look at everything first. */
static void
large_files_are_refused_quickly(void **state)
{
	struct buf b = { .max = 1 << 20 };
	struct err e = { 0 };

	(void)state;
	while (b.len < 1000000)
		buf_addf(&b, "k%zu:\n", b.len);
	assert_int_equal(config_parse(&conf, "x", buf_str(&b), b.len, NULL, NULL, &e), -1);
	assert_string_equal(e.msg, "x:1: k0: no such key");
	buf_clear(&b);
	buf_adds(&b, "houses:\n");
	while (b.len < 1000000)
		buf_addf(&b, " k%zu:\n", b.len);
	assert_int_equal(config_parse(&conf, "x", buf_str(&b), b.len, NULL, NULL, &e), -1);
	assert_non_null(strstr(e.msg, "houses: expected at most 64, got"));
	buf_free(&b);
	done();
}

static void
variables_are_expanded(void **state)
{
	(void)state;
	setenv("UW_T_HOST", "h.example", 1);
	setenv("UW_T_EVIL", "a\nb: c", 1);
	unsetenv("UW_T_NONE");
	good("houses: {ezra: {endpoint: 'https://${UW_T_HOST}:1/${UW_T_HOST}', auth_token: 'a$${b}$c$'}}\n");
	assert_string_equal(conf.houses[0].endpoint, "https://h.example:1/h.example");
	assert_string_equal(conf.houses[0].auth_token, "a${b}$c$");
	done();
	bad(HOUSE "pki: /x/${UW_T_NONE}\n", "2: pki: environment variable UW_T_NONE is not set");
	bad(HOUSE "pki: /x/${UW_T_HOST\n",
	    "2: pki: expected ${VARIABLE}, or $${ for a literal ${, got /x/${UW_T_HOST");
	bad(HOUSE "pki: /x/${}\n", "2: pki: expected ${VARIABLE}, or $${ for a literal ${, got /x/${}");
	bad(HOUSE "pki: /x/${UW_T_EVIL}\n", "2: pki: expected text without control characters");
	/* What a variable holds may be secret, wherever somebody put it. */
	bad(HOUSE "log_level: ${UW_T_HOST}\n",
	    "2: log_level: expected one of warn, info, debug, got ${UW_T_HOST}");
}

static void
names_must_not_collide(void **state)
{
	(void)state;
	bad("houses: {ezra: {agents: [a]}, timmy: {agents: [b, a]}}\n",
	    "1: houses.timmy.agents: a is already at home in ezra");
	bad("houses: {ezra: {agents: [timmy]}}\n",
	    "1: houses.ezra.agents: timmy is a person's name (sovereign, operators, watchers)");
	bad("houses: {ezra: {agents: [operator]}}\n",
	    "1: houses.ezra.agents: operator is a person's name (sovereign, operators, watchers)");
	bad(HOUSE "watchers: [operator]\n", "2: watchers: operator may do more already, as an operator");
	bad("houses: {ezra: {candidates: [ezra-1, erza-1]}}\n",
	    "1: houses.ezra.candidates: no house has an agent erza-1; did you mean ezra-1?");
	bad("houses: {a2345678901234567890123456789012: }\n",
	    "1: houses.a2345678901234567890123456789012.agents: a2345678901234567890123456789012-1 would be "
	    "too long a name, "
	    "give one");
}

static void
identities_have_kinds(void **state)
{
	const char *all[8];

	(void)state;
	good("houses: {ezra: {agents: [e-1, e-2]}}\noperators: [timmy, op]\nwitnesses: [w]\n");
	assert_int_equal(config_identity_kind(&conf, "timmy"), IDENTITY_SOVEREIGN);
	assert_int_equal(config_identity_kind(&conf, "op"), IDENTITY_OPERATOR);
	assert_int_equal(config_identity_kind(&conf, "watcher"), IDENTITY_WATCHER);
	assert_int_equal(config_identity_kind(&conf, "e-2"), IDENTITY_AGENT);
	assert_int_equal(config_identity_kind(&conf, "ezra"), IDENTITY_UNKNOWN);
	assert_ptr_equal(config_home(&conf, "e-2"), &conf.houses[0]);
	assert_null(config_home(&conf, "op"));
	assert_null(config_house_find(&conf, "_"));
	assert_int_equal(config_identities(&conf, all, 8), 6);
	assert_string_equal(all[0], "timmy");
	assert_string_equal(all[4], "e-2");
	assert_string_equal(all[5], "w");
	assert_int_equal(config_identities(&conf, all, 2), 2);
	done();
}

static void
write_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(
	    fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && fchmod(fd, mode) == 0);
	close(fd);
}

static void
secrets_come_from_files_and_the_environment(void **state)
{
	char dir[] = "/tmp/uw-config-XXXXXX", path[64], secret[64];
	struct err e = { 0 };

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/houses.yaml", dir);
	snprintf(secret, sizeof secret, "%s/token", dir);
	setenv("UW_T_SECRET", "from-env", 1);
	write_file(path,
	    HOUSE "secrets:\n  A: {file: token}\n  B: {env: UW_T_SECRET, origin: 'https://x:3000'}\n"
	    "  C: {env: UW_T_NONE}\n", 0644);
	write_file(secret, "from-file\n", 0600);
	assert_int_equal(config_load(&conf, path, keep, &warnings, &e), 0);
	assert_int_equal(conf.nsecrets, 2);
	assert_string_equal(conf.secrets[0].value, "from-file");
	assert_string_equal(conf.secrets[1].name, "B");
	assert_string_equal(conf.secrets[1].value, "from-env");
	assert_null(conf.secrets[0].origin);
	assert_string_equal(conf.secrets[1].origin, "https://x:3000");
	assert_non_null(
	    strstr(buf_str(&warnings), "secrets.C.env: environment variable UW_T_NONE is not set"));
	done();

	chmod(secret, 0640);
	assert_int_equal(config_load(&conf, path, NULL, NULL, &e), -1);
	assert_non_null(strstr(e.msg, "has mode 640, others can read it; chmod 600"));
	write_file(secret, "two\nlines\n", 0600);
	assert_int_equal(config_load(&conf, path, NULL, NULL, &e), -1);
	assert_non_null(strstr(e.msg, "a secret must be one line that is not empty"));
	unlink(secret);
	assert_int_equal(config_load(&conf, path, keep, &warnings, &e), 0);
	assert_int_equal(conf.nsecrets, 1);
	done();
	unlink(path);
	rmdir(dir);
	assert_int_equal(config_load(&conf, path, NULL, NULL, &e), -1);
	assert_non_null(strstr(e.msg, "No such file or directory"));
	bad(HOUSE "secrets: {A: {}}\n", "2: secrets.A: expected either file or env");
	bad(HOUSE "secrets: {A: {file: x, env: y}}\n", "2: secrets.A: expected either file or env");
	bad(HOUSE "secrets: {A: {env: y, origin: x}}\n",
	    "2: secrets.A.origin: expected http://host:port or https://host:port, got x");
	bad(HOUSE "secrets: {a: {env: y}}\n",
	    "2: secrets: expected names of secrets ([A-Z][A-Z0-9_]*, at most 64), got a");
	bad(HOUSE "secrets: {A: literal}\n", "2: secrets.A: expected a mapping (key: value), got literal");
}

static void
paths_do_not_depend_on_the_working_directory(void **state)
{
	char dir[] = "/tmp/uw-config-XXXXXX", path[64], before[4096];
	struct err e = { 0 };

	(void)state;
	assert_non_null(getcwd(before, sizeof before));
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	write_file("h.yaml", HOUSE, 0600);
	assert_int_equal(config_load(&conf, "h.yaml", NULL, NULL, &e), 0);
	snprintf(path, sizeof path, "%s/h.yaml", dir);
	assert_string_equal(conf.path, path);
	snprintf(path, sizeof path, "%s/pki", dir);
	assert_string_equal(conf.pki_dir, path);
	done();
	unlink("h.yaml");
	assert_int_equal(chdir(before), 0);
	rmdir(dir);
}

static void
a_token_in_a_file_that_others_read_is_a_warning(void **state)
{
	char path[] = "/tmp/uw-config-XXXXXX";
	struct err e = { 0 };
	int fd = mkstemp(path);

	(void)state;
	close(fd);
	write_file(path, "houses: {ezra: {auth_token: abc}}\n", 0644);
	assert_int_equal(config_load(&conf, path, keep, &warnings, &e), 0);
	assert_non_null(strstr(buf_str(&warnings), "houses.ezra.auth_token: others can read this file"));
	done();
	chmod(path, 0600);
	assert_int_equal(config_load(&conf, path, keep, &warnings, &e), 0);
	assert_string_equal(buf_str(&warnings), "");
	done();
	unlink(path);
}

static void
a_root_that_holds_what_is_the_agents_is_a_warning(void **state)
{
	(void)state;
	good(HOUSE "state: /srv/state\ntools: {roots: [/srv/work, /srv], read_roots: [/srv/states, /etc/uw/pki]}\n");
	assert_non_null(strstr(buf_str(&warnings), "tools.roots: /srv holds /srv/state, which is not for tools"));
	assert_non_null(strstr(buf_str(&warnings), "tools.read_roots: /etc/uw/pki holds /etc/uw/pki, which is not for tools"));
	assert_null(strstr(buf_str(&warnings), "/srv/work "));
	assert_null(strstr(buf_str(&warnings), "/srv/states "));
	done();
	good(HOUSE "tools: {roots: [/]}\n");
	assert_non_null(strstr(buf_str(&warnings), "tools.roots: / holds "));
	done();
}

static void
every_key_is_documented(void **state)
{
	struct buf b = { 0 };
	size_t lines = 0;

	(void)state;
	config_keys_markdown(&b);
	for (const char *p = buf_str(&b); (p = strchr(p, '\n')); p++)
		lines++;
	assert_true(lines > 35);
	assert_non_null(strstr(buf_str(&b), "| `houses.<name>.agents` | list of names | `<house>-1` |"));
	assert_non_null(strstr(buf_str(&b), "| `retention.finished_s` | time | `7d` |"));
	buf_free(&b);
}

static void
limits_are_checked(void **state)
{
	static const char *const wrong[] = { "10", "10/d", "0/s", "1000001/s", "1.5/s", "/s", "10/s ago" };
	char text[128], msg[160];

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		snprintf(text, sizeof text, HOUSE "flow:\n  a:\n    rate: %s\n", wrong[i]);
		snprintf(msg, sizeof msg, "4: flow.a.rate: expected a rate (10/s, 30/m, 100/h) of 1 to 1000000, got %s", wrong[i]);
		bad(text, msg);
	}
	bad(HOUSE "flow:\n  a:\n    burst: 2\n", "4: flow.a.burst: expected a rate beside it");
	good(HOUSE "flow: {a: {rate: 7/s, burst: 3}, b: {running: 4}, c: {rate: 100/h, running: 2}, d: {tool: noop}}\n");
	/* A token each so many microseconds, never sooner; any number at once. */
	assert_int_equal(conf.flows[0].each_us, 142858);
	assert_int_equal(conf.flows[0].burst, 3);
	assert_int_equal(conf.flows[0].running, 0);
	assert_int_equal(conf.flows[1].each_us, 0);
	assert_int_equal(conf.flows[1].running, 4);
	assert_int_equal(conf.flows[2].each_us, 36000000);
	assert_int_equal(conf.flows[2].burst, 1);
	assert_int_equal(conf.flows[2].running, 2);
	assert_int_equal(conf.flows[3].running, 1);
	done();
}

static void
schedules_are_checked(void **state)
{
	(void)state;
	bad(HOUSE "operators: [schedule]\nschedules: {a: {cron: '@daily', house: ezra, task: '{\"tool\":\"noop\"}'}}\n",
	    "3: schedules: nobody else may be called schedule, the sender of their tasks");
	bad(HOUSE "schedules: {A: {}}\n", "2: schedules: expected names of schedules ([a-z0-9-], at most 32), got A");
	bad(HOUSE "schedules:\n  a:\n    cron: '@daily'\n    house: nowhere\n", "5: schedules.a.house: expected a house of this file");
	bad(HOUSE "schedules:\n  a:\n    cron: '@daily'\n    house: ezra\n", "4: schedules.a.task: expected a task, got nothing");
	good(HOUSE "schedules: {a: {cron: '@daily', house: ezra, task: '{\"tool\":\"noop\"}'}}\n");
	assert_int_equal(conf.nschedules, 1);
	assert_string_equal(conf.schedules[0].zone_name, "UTC");
	assert_string_equal(conf.schedules[0].missed, "once");
	done();
}

static void
alerts_and_sinks_are_checked(void **state)
{
	struct alert_rule r;

	(void)state;
	bad(HOUSE "alerts: {queue-ag: {}}\n", "2: alerts: expected the name of an alert, got queue-ag; did you mean queue-age");
	bad(HOUSE "alerts: {queue-age: {limit: -1}}\n", "2: alerts.queue-age.limit: expected a whole number from 0 to 1000000000, got -1");
	bad(HOUSE "sinks: {A: {}}\n", "2: sinks: expected names of sinks ([a-z0-9-], at most 32), got A");
	bad(HOUSE "sinks:\n  a:\n    kind: webhook\n", "4: sinks.a.url: expected http://host/path or https://host/path");
	bad(HOUSE "sinks:\n  a:\n    kind: mail\n    url: 'http://x'\n", "5: sinks.a.url: expected smtp://host:port or smtps://host:port, for kind mail");
	bad(HOUSE "sinks:\n  a:\n    kind: mail\n    url: 'smtp://x'\n    from: a@b\n    to: 'a b'\n", "7: sinks.a.to: expected one mail address");
	bad(HOUSE "sinks:\n  a:\n    kind: command\n", "4: sinks.a.command: expected a program, for kind command");
	bad(HOUSE "hermes:\n  secret: NONE\n", "3: hermes.secret: expected a name in secrets, got NONE");
	bad(HOUSE "hermes:\n  listen: '10.0.0.1:8650'\n", "3: hermes.listen: expected a loopback address and a port, got 10.0.0.1:8650");
	bad(HOUSE "hermes:\n  listen: '127.0.0.1:8650'\n",
	    "3: hermes.webhook_secret: expected a name in secrets, for what arrives at hermes.listen, got nothing");
	bad(HOUSE "hermes:\n  share: all\n", "3: hermes.share: expected one of facts, previews, texts, got all");
	good(HOUSE "alerts: {queue-age: {limit: 5, clear_s: 2m}, disk-low: {use: off}}\nsinks: {a: {url: 'https://x/y'}}\n");
	assert_true(config_alert(&conf, ALERT_QUEUE_AGE, &r));
	assert_int_equal(r.limit, 5);
	assert_int_equal(r.raise_s, alert_rules[ALERT_QUEUE_AGE].raise_s);
	assert_int_equal(r.clear_s, 120);
	assert_false(config_alert(&conf, ALERT_DISK_LOW, &r));
	assert_true(config_alert(&conf, ALERT_CLOCK_SKEW, &r));
	assert_int_equal(r.limit, alert_rules[ALERT_CLOCK_SKEW].limit);
	assert_int_equal(conf.nsinks, 1);
	assert_string_equal(conf.sinks[0].severity, "warning");
	done();
}

#define DEVICE_ID "CKQD6EC-YDE23LU-J2A3646-A4OT4AS-OJTU56P-6KTNWMH-CSDUBRX-5DH4AQ2"

static void
sharing_is_checked(void **state)
{
	(void)state;
	bad(HOUSE "syncthing: {api: 'http://10.0.0.1:8384'}\n",
	    "2: syncthing.api: expected https, or http on this host (127.0.0.1), got http://10.0.0.1:8384: the key could be read on the way");
	bad(HOUSE "syncthing: {api: 'http://127.0.0.1.example.org'}\n",
	    "2: syncthing.api: expected https, or http on this host (127.0.0.1), got http://127.0.0.1.example.org: the key could be read on the way");
	bad(HOUSE "syncthing: {dir: /x, devices: {self: {}}}\n", "2: syncthing.devices: no device can be called self");
	bad(HOUSE "syncthing: {outside: [relay]}\n", "2: syncthing.outside: nothing is called relay; did you mean relays?");
	bad(HOUSE "syncthing: {devices: {ezra: {id: " DEVICE_ID ", address: 'tcp://a:1'}}}\n",
	    "2: syncthing.dir: expected a directory, for devices that share it");
	bad(HOUSE "syncthing:\n  dir: /x\n  devices:\n    ezra: {id: ABC}\n", "5: syncthing.devices.ezra.id: expected a device ID, as "
	    "`syncthing --device-id` prints it (8 groups of 7 letters and digits), got ABC");
	bad(HOUSE "syncthing:\n  dir: /x\n  devices:\n    ezra: {id: " DEVICE_ID ", address: dynamic}\n",
	    "5: syncthing.devices.ezra.address: expected tcp://host:port or quic://host:port (dynamic: with a discovery in outside), got dynamic");
	bad(HOUSE "syncthing:\n  dir: /x\n  devices:\n    ezra: {id: " DEVICE_ID ", address: 'tcp://a:1', listen: ':1'}\n",
	    "5: syncthing.devices.ezra.listen: expected tcp://address:port or quic://address:port, got :1");
	bad(HOUSE "syncthing:\n  dir: /x\n  devices:\n    ezra: {id: " DEVICE_ID ", address: 'tcp://a:1'}\n    b: {id: " DEVICE_ID
	    ", address: 'tcp://b:1'}\n", "6: syncthing.devices.b.id: expected another one than that of each other device, got " DEVICE_ID);
	bad(HOUSE "syncthing: {devices: {A: {}}}\n", "2: syncthing.devices: expected names of devices ([a-z0-9-], at most 32), got A");
	good(HOUSE "syncthing: {dir: /x, outside: [local-discovery], devices: {ezra: {id: " DEVICE_ID ", address: dynamic}}}\n");
	assert_string_equal(config_device_find(&conf, "ezra")->address, "dynamic");
	assert_null(config_device_find(&conf, "timmy"));
	assert_string_equal(conf.share_folder, "uw");
	assert_string_equal(conf.share_api, "http://127.0.0.1:8384");
	done();
	good(HOUSE "syncthing: {dir: /x/y}\ntools: {roots: [/x], read_roots: [/x/y]}\n");
	assert_string_equal(buf_str(&warnings), "/etc/uw/houses.yaml:3: tools.roots: /x holds /x/y, which is not for tools\n");
	done();
	good(HOUSE "syncthing: {dir: /x, api: 'http://localhost:8384/', devices: {ezra: {id: " DEVICE_ID ", address: 'quic://[::1]:22000'}}}\n");
	done();
}

static void
ssh_destinations_are_read(void **state)
{
	static const struct {
		const char *text, *destination, *host;
		int port;
	} right[] = {
		{ "root@h1.example.org", "root@h1.example.org", "h1.example.org", 0 },
		{ "192.0.2.7", "192.0.2.7", "192.0.2.7", 0 },
		{ "a.b_c-d@h:2222", "a.b_c-d@h", "h", 2222 },
		{ "root@[2001:db8::7]:22", "root@2001:db8::7", "2001:db8::7", 22 },
		{ "[::1]", "::1", "::1", 0 },
	};
	static const char *const wrong[] = {
		"", "@h", "root@", "-oProxyCommand=x", "root@-h", "a@b@c", "h:", "h:0", "h:65536", "h:2 2", "h:+2", "::1", "root@h;id",
		"root@h'x", "root@$h", "ro ot@h", "h/x", "[::1", "[::1]x", "[x y]", "root@`id`", "h\nx", ".h",
	};
	struct config_ssh s;

	(void)state;
	for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
		assert_true(config_ssh(right[i].text, &s));
		assert_string_equal(s.destination, right[i].destination);
		assert_string_equal(s.host, right[i].host);
		assert_int_equal(s.port, right[i].port);
		assert_false(s.local);
	}
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		if (config_ssh(wrong[i], &s))
			fail_msg("taken: %s", wrong[i]);
	assert_true(config_ssh("local", &s) && s.local);
}

static void
hosts_are_checked(void **state)
{
	(void)state;
	bad(HOUSE "hosts: {H1: {}}\n", "2: hosts: expected names of hosts ([a-z0-9-], at most 32), got H1");
	bad(HOUSE "hosts: {h1: {}}\n", "2: hosts.h1.ssh: expected user@host, or local for this machine, got nothing");
	bad(HOUSE "hosts: {h1: {ssh: -x}}\n", "2: hosts.h1.ssh: expected user@host or user@host:port, or local for this machine, got -x");
	bad(HOUSE "hosts: {h1: {ssh: h, address: 'a b'}}\n", "2: hosts.h1.address: expected a host name or an address, got a b");
	bad(HOUSE "hosts: {h1: {ssh: h, agents: [x-1]}}\n", "2: hosts.h1.agents: no house has an agent x-1, and it is no witness");
	bad(HOUSE "hosts:\n  a: {ssh: h, agents: [ezra-1]}\n  b:\n    ssh: h\n    agents: [ezra-1]\n",
	    "6: hosts.b.agents: ezra-1 runs on a already");
	good(HOUSE "witnesses: [w]\nbrokers: [b1.example.org]\nhosts:\n  b: {ssh: 'root@b1.example.org:2222', agents: [ezra-1, w], broker: on}\n"
	    "  a: {ssh: local}\n");
	assert_string_equal(buf_str(&warnings), "");
	assert_int_equal(conf.nhosts, 2);
	assert_string_equal(config_host_find(&conf, "b")->address, "b1.example.org");
	assert_string_equal(config_host_find(&conf, "a")->broker, "off");
	assert_string_equal(config_host_of(&conf, "w")->name, "b");
	assert_null(config_host_of(&conf, "ezra-2"));
	assert_null(config_host_find(&conf, "c"));
	done();
	good(HOUSE "hosts:\n  a: {ssh: root@h, broker: on}\n");
	assert_string_equal(buf_str(&warnings), "/etc/uw/houses.yaml:3: hosts.a: its broker at h is not among `brokers`, so nobody connects to it\n");
	done();
}

static void
bridge_and_triage_are_checked(void **state)
{
#define GITEA "gitea: {url: 'https://g', token: T}\n"
	(void)state;
	bad(HOUSE "bridge: {repos: [a]}\n", "2: bridge.repos: expected a list of repositories (owner/name), got a");
	bad(HOUSE "bridge: {repos: [a/b]}\n", "2: bridge.repos: expected gitea.url beside it, got nothing");
	bad(HOUSE GITEA "bridge: {repos: [a/b]}\n", "3: bridge.house: expected a house of this file, got allegro");
	bad(HOUSE GITEA "bridge: {repos: [a/b], house: ezra}\n", "3: bridge.identity: expected one of `operators`, got gitea; add it there, "
	    "and uni-wizard pki issue gitea");
	bad(HOUSE "bridge: {listen: localhost}\n", "2: bridge.listen: expected address:port with a numeric address, such as "
	    "127.0.0.1:8643 or [::]:8643, or off, got localhost");
	bad(HOUSE "triage: {A: {}}\n", "2: triage: expected names of rules ([a-z0-9-], at most 32), got A");
	bad(HOUSE "triage:\n  a:\n    match: '('\n", "4: triage.a.match: Unmatched ( or \\(");
	bad(HOUSE "triage: {a: {words: x}}\n", "2: triage.a.words: expected a list of 1 to 32 texts, got x");
	bad(HOUSE "triage: {a: {house: bezalel}}\n", "2: triage.a.house: expected a house of this file");
	bad(HOUSE "triage: {a: {kind: issue, paths: [x]}}\n", "2: triage.a.paths: an issue changes no files");
	bad(HOUSE "triage:\n  a:\n    task: '{}'\n", "4: triage.a.task: tool: expected a value; it is required, got nothing");
	bad(HOUSE "triage:\n  a:\n    task: '{\"tool\":\"noop\",\"key\":\"k\"}'\n",
	    "4: triage.a.task: expected a task without id, key, times, house and the like");
	good(HOUSE GITEA "operators: [gitea]\nbridge: {repos: [a/b], house: ezra}\ntriage: {z: {add: [a, 'b c']}, a: {}}\n");
	assert_int_equal(conf.ntriages, 2);
	assert_string_equal(conf.triages[0].name, "z");
	assert_string_equal(conf.triages[0].add.v[1], "b c");
	assert_string_equal(conf.triages[1].kind, "any");
	assert_int_equal(conf.bridge.poll_s, 30);
	done();
#undef GITEA
}

static void
gitea_is_checked(void **state)
{
	(void)state;
	bad(HOUSE "gitea: {token: T}\n", "2: gitea.url: expected the URL of a Gitea");
	bad(HOUSE "gitea: {url: 'http://localhost:3000'}\n", "2: gitea.token: expected the name of a secret, which is the token");
	bad(HOUSE "gitea: {url: 'http://localhost:3000/?x', token: T}\n", "2: gitea.url: expected a URL without user name, ? and #");
	bad(HOUSE "gitea: {url: 'http://localhost:3000', token: T, repositories: [a/b, a]}\n",
	    "2: gitea.repositories: expected a list of repositories (owner/name), got a");
	bad(HOUSE "gitea: {url: 'http://localhost:3000', token: T, repositories: [a/..]}\n",
	    "2: gitea.repositories: expected a list of repositories (owner/name), got a/..");
	bad(HOUSE "gitea: {url: 'http://localhost:3000', token: T, repositories: [a/b, a/b]}\n",
	    "2: gitea.repositories: a/b is given twice");
	good(HOUSE "gitea: {url: 'http://localhost:3000/git', token: T, repositories: [a/b, c.d/e_f-g], rate: 100/m}\n");
	assert_string_equal(conf.gitea.url, "http://localhost:3000/git");
	assert_int_equal(conf.gitea.repositories.n, 2);
	assert_string_equal(conf.gitea.repositories.v[1], "c.d/e_f-g");
	assert_int_equal(conf.gitea.each_us, 600000);
	assert_int_equal(conf.gitea.burst, 20);
	assert_int_equal(conf.gitea.timeout_s, 30);
	done();
}

static void
stress_is_checked(void **state)
{
	struct stress_rule r;

	(void)state;
	bad(HOUSE "stress: {memry: {}}\n", "2: stress: expected the name of a stress, got memry; did you mean memory");
	bad(HOUSE "stress: {memory: {limit: -1}}\n", "2: stress.memory.limit: expected a whole number from 0 to 1000000000, got -1");
	bad(HOUSE "stress: {memory: {limit: 10, clear: 9}}\n", "2: stress.memory.clear: expected at least its limit 10, got 9");
	bad(HOUSE "stress: {queue-age: {limit: 10, clear: 11}}\n", "2: stress.queue-age.clear: expected at most its limit 10, got 11");
	bad(HOUSE "limits: {stress_priority: 10}\n", "2: limits.stress_priority: expected a whole number from 0 to 9, got 10");
	good(HOUSE "stress: {queue-age: {limit: 9, clear_s: 2m}, memory: {limit: 100}, breakers: {clear: 0}, disk: {use: off}}\n");
	assert_true(config_stress(&conf, STRESS_QUEUE_AGE, &r));
	assert_true(r.limit == 9 && r.clear == 4 && r.raise_s == 30 && r.clear_s == 120);
	assert_true(config_stress(&conf, STRESS_MEMORY, &r));
	assert_true(r.limit == 100 && r.clear == 150);
	assert_true(config_stress(&conf, STRESS_BREAKERS, &r));
	assert_true(r.limit == 3 && r.clear == 0);
	assert_false(config_stress(&conf, STRESS_DISK, &r));
	assert_true(config_stress(&conf, STRESS_COMMIT_LATENCY, &r));
	assert_int_equal(r.clear, 125);
	done();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_founding_file_is_valid_without_its_token),
		cmocka_unit_test(everything_has_a_default),
		cmocka_unit_test(it_is_said_where_http_is_answered),
		cmocka_unit_test(values_are_read),
		cmocka_unit_test(a_house_is_stood_in_for_by_others_up_to_three),
		cmocka_unit_test(a_witness_votes_and_owns_nothing),
		cmocka_unit_test(an_agent_of_no_house_may_route),
		cmocka_unit_test(two_brokers_need_a_majority),
		cmocka_unit_test(a_wrong_value_names_line_key_expected_and_got),
		cmocka_unit_test(brokers_are_host_and_port_over_tls),
		cmocka_unit_test(an_unknown_key_is_an_error_with_the_nearest),
		cmocka_unit_test(what_yaml_makes_easy_to_get_wrong_is_refused),
		cmocka_unit_test(a_file_that_is_too_large_is_refused),
		cmocka_unit_test(large_files_are_refused_quickly),
		cmocka_unit_test(variables_are_expanded),
		cmocka_unit_test(names_must_not_collide),
		cmocka_unit_test(identities_have_kinds),
		cmocka_unit_test(secrets_come_from_files_and_the_environment),
		cmocka_unit_test(limits_are_checked),
		cmocka_unit_test(schedules_are_checked),
		cmocka_unit_test(alerts_and_sinks_are_checked),
		cmocka_unit_test(ssh_destinations_are_read),
		cmocka_unit_test(hosts_are_checked),
		cmocka_unit_test(bridge_and_triage_are_checked),
		cmocka_unit_test(gitea_is_checked),
		cmocka_unit_test(sharing_is_checked),
		cmocka_unit_test(stress_is_checked),
		cmocka_unit_test(paths_do_not_depend_on_the_working_directory),
		cmocka_unit_test(a_token_in_a_file_that_others_read_is_a_warning),
		cmocka_unit_test(a_root_that_holds_what_is_the_agents_is_a_warning),
		cmocka_unit_test(every_key_is_documented),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
