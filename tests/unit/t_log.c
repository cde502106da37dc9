/* One line per event: as text, as JSON, for the journal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "json.h"
#include "log.h"

static int real_stderr = -1;
static FILE *said;

static void
listen_to(const char *ident, enum log_level level, bool journal)
{
	char stream[64];
	struct stat st;

	said = tmpfile();
	assert_non_null(said);
	real_stderr = dup(STDERR_FILENO);
	assert_int_equal(dup2(fileno(said), STDERR_FILENO), STDERR_FILENO);
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino + !journal);
	setenv("JOURNAL_STREAM", stream, 1);
	log_init(ident, level);
}

/* All that was said; the caller frees it. */
static char *
heard(void)
{
	char *text = calloc(1, 65536);

	assert_non_null(text);
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	rewind(said);
	text[fread(text, 1, 65535, said)] = 0;
	fclose(said);
	log_as_json(false);
	log_task(NULL);
	return text;
}

/* Lines without their time, which is the first 25 bytes of each. */
static char *
without_times(char *text)
{
	char *to = text;

	for (char *p = text, *nl; *p; p = nl + 1) {
		nl = strchr(p, '\n');
		assert_non_null(nl);
		assert_int_equal(p[23], 'Z');
		memmove(to, p + 25, (size_t)(nl - p) - 24);
		to += nl - p - 24;
	}
	*to = 0;
	return text;
}

static void
a_line_has_level_task_and_message(void **state)
{
	char *text;

	(void)state;
	listen_to("timmy", LOG_LEVEL_INFO, false);
	log_task("01M8P0QFCM0BH6EAE75WWKJ2YD");
	log_info("house %s: a\nb\x1b[31m", "ezra");
	log_task(NULL);
	errno = ENOENT;
	log_warn("no %d", 7);
	assert_int_equal(errno, ENOENT);
	log_debug("not told");
	text = without_times(heard());
	assert_string_equal(text, "timmy info: task 01M8P0QFCM0BH6EAE75WWKJ2YD: house ezra: a b [31m\n"
	    "timmy warning: no 7: No such file or directory\n");
	free(text);
}

static void
a_level_holds_from_when_it_is_set(void **state)
{
	char *text;

	(void)state;
	listen_to(NULL, LOG_LEVEL_WARN, false);
	log_info("no");
	log_set_level(LOG_LEVEL_DEBUG);
	assert_int_equal(log_get_level(), LOG_LEVEL_DEBUG);
	log_debug("yes");
	log_set_level(LOG_LEVEL_INFO);
	log_debug("no");
	log_info("yes");
	text = without_times(heard());
	assert_string_equal(text, "debug: yes\ninfo: yes\n");
	free(text);
}

static void
levels_have_names(void **state)
{
	(void)state;
	for (int i = LOG_LEVEL_WARN; i <= LOG_LEVEL_DEBUG; i++)
		assert_int_equal(log_level_find(log_level_name((enum log_level)i)), i);
	assert_int_equal(log_level_find("info"), LOG_LEVEL_INFO);
	assert_int_equal(log_level_find("loud"), -1);
	assert_int_equal(log_level_find(""), -1);
}

static void
a_line_of_json_is_one_object_whatever_is_in_it(void **state)
{
	char *text, *nl, longest[3000];
	struct err e;
	cJSON *o;

	(void)state;
	listen_to("deliver", LOG_LEVEL_INFO, false);
	log_as_json(true);
	log_task("01M8P0QFCM0BH6EAE75WWKJ2YD");
	log_info("a \"b\" \\ \n\x01 \xff \xc3\xa9");
	log_task(NULL);
	memset(longest, 1, sizeof longest);
	longest[sizeof longest - 1] = 0;
	log_warnx("%s", longest);
	text = heard();
	nl = strchr(text, '\n');
	assert_non_null(nl);
	o = json_parse_object(text, (size_t)(nl - text), &e);
	assert_non_null(o);
	assert_string_equal(json_text(o, "level"), "info");
	assert_string_equal(json_text(o, "ident"), "deliver");
	assert_string_equal(json_text(o, "task"), "01M8P0QFCM0BH6EAE75WWKJ2YD");
	assert_string_equal(json_text(o, "message"), "a \"b\" \\ \n\x01 \xef\xbf\xbd \xc3\xa9");
	assert_int_equal(strlen(json_text(o, "time")), 24);
	cJSON_Delete(o);
	o = json_parse_object(nl + 1, strlen(nl + 1) - 1, &e);
	assert_non_null(o);
	assert_string_equal(json_text(o, "level"), "warning");
	assert_string_equal(json_text(o, "task"), "");
	assert_int_equal(strlen(json_text(o, "message")), 1023);
	cJSON_Delete(o);
	free(text);
}

static void
the_journal_gets_priorities_and_has_its_own_time(void **state)
{
	char *text;

	(void)state;
	listen_to(NULL, LOG_LEVEL_DEBUG, true);
	log_warnx("w");
	log_info("i");
	log_debug("d");
	log_as_json(true);
	log_info("j");
	text = heard();
	assert_ptr_equal(strstr(text, "<4>warning: w\n<6>info: i\n<7>debug: d\n<6>{\"time\":\""), text);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_has_level_task_and_message),
		cmocka_unit_test(a_level_holds_from_when_it_is_set),
		cmocka_unit_test(levels_have_names),
		cmocka_unit_test(a_line_of_json_is_one_object_whatever_is_in_it),
		cmocka_unit_test(the_journal_gets_priorities_and_has_its_own_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
