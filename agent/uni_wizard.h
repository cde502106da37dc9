/*
 * uni_wizard.h - one way to run a tool of a house, from any C program.
 *
 *     struct uw_harness *h;
 *     struct uw_result *r;
 *     struct uw_error e;
 *
 *     if (uw_harness_open("timmy", UW_INTELLIGENT, &h, &e))
 *             errx(1, "%s", e.message);
 *     if (uw_execute(h, "git_status", "{\"repo_path\":\"/srv/site\"}", &r, &e) == 0)
 *             puts(uw_result_json(r));
 *     uw_result_free(r);
 *     uw_harness_close(h);
 *
 * Compile with `cc prog.c $(pkg-config --cflags --libs uniwizard)`.
 *
 * Functions that can fail return 0, or -1 with *err filled in; err may be NULL. Text is UTF-8 and
 * ended by NUL. A `const char *` that is returned is borrowed, and lives as long as what it was asked
 * of; one that is given is read during the call only. Times are in the unit their name ends with.
 *
 * A harness belongs to one thread at a time, and so do its results; several harnesses in several
 * threads do not disturb each other. The library starts no threads, installs no signal handlers and
 * never writes to standard output; warnings go to standard error.
 */
#ifndef UNI_WIZARD_H
#define UNI_WIZARD_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ## Errors */

/* Why something failed. `code` is one word, the same that tasks get on the wire: parse, invalid,
 * missing, too_big, unknown_tool, unknown_house, unknown_task, id_required, conflict, stale, state,
 * busy, denied, approval, unproven, halted, path, not_found, timeout, network, tool, crash, lost, io,
 * store, config, internal; "none" if there was no error. `message` is the whole sentence. `field`, `expected` and `got` are
 * empty unless a field of the input is at fault. Plain memory: copy it, let it go. */
struct uw_error {
	char code[24];
	char field[80];
	char expected[160];
	char got[96];
	char message[480];
};

/* What a code means, in a few words; "unknown error" for one that there is not. Never NULL.
 * Thread-safe. */
const char *uw_strerror(const char *code);

/* The version of the library, "4.0.0". Thread-safe. */
const char *uw_version(void);

/* ## A harness */

/* How much is done around a task. UW_SIMPLE runs it and nothing else. UW_INTELLIGENT lets the house
 * predict, adapt and learn. UW_SOVEREIGN asks the sovereign for a signed approval first, so it needs
 * an agent: such a task never runs in this process's own workers. */
enum uw_mode { UW_SIMPLE, UW_INTELLIGENT, UW_SOVEREIGN };

/* Where tasks run. UW_HERE: in a worker process of this program's own, without any agent or broker;
 * the house's queue, retries and records are not involved. UW_AGENT: an agent on this machine takes
 * the task over its local socket and keeps it safe from then on, whatever happens to this process.
 * UW_ANYWHERE: UW_SIMPLE runs here, UW_SOVEREIGN at an agent, UW_INTELLIGENT at an agent if one
 * answers and here if none does. */
enum uw_where { UW_ANYWHERE, UW_HERE, UW_AGENT };

/* A house and a mode to run tools in. What is inside is the library's own business. */
struct uw_harness;

/* What a call came to; see below. */
struct uw_result;

/* What uw_harness_open_with() can be told. Set it up with uw_options_init(), which leaves everything
 * at its default; then change what you need. Pointers must live until uw_harness_open_with()
 * returns. */
struct uw_options {
	/* Size of this struct; set by uw_options_init(). */
	size_t size;
	/* UW_ANYWHERE. */
	enum uw_where where;
	/* houses.yaml. NULL: $UNI_WIZARD_CONFIG, else /etc/uni-wizard/houses.yaml, else ~/.config/uni-wizard/houses.yaml. */
	const char *config;
	/* The agent to talk to. NULL: one of the house's own, else any that answers. */
	const char *agent;
	/* The program uni-wizard, to be run as worker. NULL: $UNI_WIZARD_EXE, else where it was installed. */
	const char *program;
	/* UW_HERE: how many worker processes, 1 to 64; 1. */
	int workers;
	/* How long a tool may run, in seconds; 0: the tool's own default. */
	int timeout_s;
	/* How long to wait for each outcome, in milliseconds from when it was asked for; -1: for ever. */
	int wait_ms;
};

/* Sets every member to its default. */
void uw_options_init(struct uw_options *options);

/* Opens a harness for a house with the default options. house: a name from the configuration. On
 * success *out is the caller's, to be closed with uw_harness_close(); otherwise it is NULL. Reads
 * the configuration, and may start a worker process or connect to an agent; does not wait for either
 * to be ready. */
int uw_harness_open(const char *house, enum uw_mode mode, struct uw_harness **out, struct uw_error *err);

/* The same with options; NULL for the defaults. */
int uw_harness_open_with(const char *house, enum uw_mode mode, const struct uw_options *options,
    struct uw_harness **out, struct uw_error *err);

/* Ends it: calls that are under way are given up without their callbacks, own workers and whatever
 * they started are stopped (which may take the configuration's stop_grace_ms). Tasks that an agent
 * has taken go on there. NULL is fine. Not from within a callback. Results that were handed out stay
 * valid. */
void uw_harness_close(struct uw_harness *h);

/* "here" or "agent": where tasks of this harness run. */
const char *uw_harness_where(const struct uw_harness *h);

/* ## Running a tool */

/* Runs a tool and waits for its outcome. params: a JSON object as text; NULL means {}. It is checked
 * against the tool's schema before anything runs. Returns 0 if the task succeeded. Otherwise returns
 * -1 with err, which then says why there is no outcome, or what the task failed of. result may be
 * NULL; if not, *result is a result of the caller's, to be freed with uw_result_free(), whenever the
 * task came far enough to have one, and NULL otherwise. Callbacks of other calls may run meanwhile.
 * Not from within a callback. */
int uw_execute(struct uw_harness *h, const char *tool, const char *params, struct uw_result **result,
    struct uw_error *err);

/* Called when a call has ended. result is borrowed for the time of the call. It may start further
 * calls. */
typedef void (*uw_done)(void *arg, const struct uw_result *result);

/* Starts a tool and returns at once with the number of the call, at least 1; -1 with err if it
 * cannot be started, and then done is never called. Otherwise done is called exactly once, from
 * uw_harness_run() or uw_execute(), unless the harness is closed before. At most 10,000 calls may be
 * under way (code "busy"). */
int64_t uw_execute_async(struct uw_harness *h, const char *tool, const char *params, uw_done done, void *arg,
    struct uw_error *err);

/* Asks for a call to be stopped. Its outcome still comes: UW_CANCELLED if that was in time. 0, or -1
 * if there is no such call under way. */
int uw_cancel(struct uw_harness *h, int64_t call);

/* ## Fitting it into a loop */

/* Works until a call has ended or timeout_ms have passed (-1: no limit, 0: only what is due now),
 * and returns how many calls ended. With no call under way it returns 0 at once. */
int uw_harness_run(struct uw_harness *h, int timeout_ms);

/* A descriptor for poll(), epoll or kqueue that becomes readable when uw_harness_run(h, 0) has
 * something to do. Ask anew after each call of uw_execute_async() and uw_harness_run(), for it may
 * change; -1 if there is none at the moment. Do not read from it, do not close it. */
int uw_harness_fd(const struct uw_harness *h);

/* How many milliseconds to wait for that descriptor at most before uw_harness_run(h, 0) is due all
 * the same; -1: for ever. */
int uw_harness_timeout(const struct uw_harness *h);

/* How many calls are under way. */
int uw_harness_pending(const struct uw_harness *h);

/* ## Results */

/* How a task ended. UW_FAILED: the tool reported a failure, ran out of time or lost its worker, and
 * is not tried again. UW_DEAD: given up after all attempts. UW_UNCERTAIN: it may have had its effect
 * and must not be repeated; the sovereign is asked. UW_REJECTED: never taken. UW_NO_ANSWER: this
 * side stopped waiting, or lost the agent; the task may still be going on under its id. */
enum uw_state {
	UW_SUCCEEDED,
	UW_FAILED,
	UW_DEAD,
	UW_CANCELLED,
	UW_EXPIRED,
	UW_DENIED,
	UW_UNCERTAIN,
	UW_REJECTED,
	UW_NO_ANSWER
};

/* How it ended. */
enum uw_state uw_result_state(const struct uw_result *r);

/* The same in a word: "succeeded", "no_answer"... */
const char *uw_result_state_name(const struct uw_result *r);

/* The tool's result, one JSON value on one line; NULL unless the task succeeded. */
const char *uw_result_json(const struct uw_result *r);

/* Why it did not succeed; NULL if it did. */
const struct uw_error *uw_result_error(const struct uw_result *r);

/* The task's id, a ULID of 26 characters, by which `uni-wizard task show` knows it if an agent took
 * it. */
const char *uw_result_id(const struct uw_result *r);

/* The number that uw_execute_async() returned. */
int64_t uw_result_call(const struct uw_result *r);

/* Time spent in the tool, in microseconds; 0 if unknown. */
int64_t uw_result_run_us(const struct uw_result *r);

/* Frees a result that uw_execute() gave. NULL is fine. */
void uw_result_free(struct uw_result *r);

/* ## Allegro's calls */

/* Issues of a repository in Gitea ("owner/name"), the open ones, pull requests left out. assignee: only those
 * assigned to that user; NULL: all. Like all that follow this is uw_execute(), here of the tool gitea_list_issues: what
 * it returns, when result is set and who frees it is said there, what is in the result by `uni-wizard tool show` and
 * the documentation of the tool. At most 1,000 issues and one tool result; `truncated` says that there are more. */
int uw_get_gitea_issues(struct uw_harness *h, const char *repository, const char *assignee,
    struct uw_result **result, struct uw_error *err);

/* Opens a pull request (gitea_create_pr): of a branch that has been pushed, or "owner:branch" in a fork, for main. body: its
 * text, or NULL. If there is an open one of these branches, the result is that one, with created false. */
int uw_create_pr(struct uw_harness *h, const char *repository, const char *branch, const char *title,
    const char *body, struct uw_result **result, struct uw_error *err);

/* Gives Hermes something to do and waits for its answer (hermes_run), in a session of its own. model: NULL for its
 * default. Waits for as long as the harness's options say; this may take half an hour. UW_UNCERTAIN: it did something
 * and did not end well. */
int uw_run_with_hermes(struct uw_harness *h, const char *prompt, const char *model, struct uw_result **result,
    struct uw_error *err);

/* Tells Timmy, and all who may read the house's events, what happened (telemetry_report). events: a JSON array of 1 to
 * 256 objects, each with a "type"; all of them fit into one task (limits.task_bytes, 256 KiB). When it returns 0
 * they are on the disk of the agent and of those in step with it, and on their way in that order, each once, whatever
 * happens to this process or the broker. Needs an agent: "denied" where the harness runs tools here. After
 * UW_NO_ANSWER they may have been told: uw_result_id() says as which task. */
int uw_stream_telemetry(struct uw_harness *h, const char *events, struct uw_result **result, struct uw_error *err);

/* How something is (health_check): "ok", "warn" or "fail" as `status` in the result, with `reasons`; that it is bad is
 * no failure of the call. target: a house, or an agent, asked at its house's endpoint in houses.yaml for /health, without
 * the token; a URL, which has to answer with a status below 400; "host:port", which has to be open; NULL: the host where the
 * tool runs. ca_file: certificates in PEM, beneath a root that tools may read where the tool runs, by which an https target
 * has to be signed; NULL: those that the system trusts. */
int uw_check_health(struct uw_harness *h, const char *target, const char *ca_file, struct uw_result **result,
    struct uw_error *err);

#ifdef __cplusplus
}
#endif

#endif
