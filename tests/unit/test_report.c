#include "unit.h"

#include <pthread.h>

#include "engine/base/report.h"

#define STAMP_BYTES 21 /* "2026-01-31T12:00:00Z " */

static char last_line[REPORT_LINE_BYTES];
static int sink_calls;

static void keep_last(void *arg, const char *line)
{
	assert_ptr_equal(arg, &sink_calls);
	assert_true(strlen(line) < sizeof(last_line));
	memcpy(last_line, line, strlen(line) + 1);
	sink_calls++;
}

static void make(struct report *report)
{
	sink_calls = 0;
	assert_int_equal(report_init(report, keep_last, &sink_calls), 0);
}

/* Inlined, gcc 12 takes what it returns for a pointer to its variable. */
static __attribute__((noinline)) char *text_of(struct report *report)
{
	char *text = NULL;
	size_t length = 1;

	assert_int_equal(report_text(report, &text, &length), 0);
	assert_int_equal(strlen(text), length);
	return text;
}

static void a_line_has_a_time_and_a_newline(void **state)
{
	int year, month, day, hour, minute, second, end = 0;
	struct report report;
	char *text;

	(void)state;
	make(&report);
	text = text_of(&report);
	assert_string_equal(text, "");
	free(text);
	report_add(&report, "vector %d: got %d of %d bytes", 42, 100, 3072);
	text = text_of(&report);
	assert_int_equal(sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2dZ %n", &year, &month, &day, &hour,
	                        &minute, &second, &end),
	                 6);
	assert_int_equal(end, STAMP_BYTES);
	assert_string_equal(text + STAMP_BYTES, "vector 42: got 100 of 3072 bytes\n");
	assert_int_equal(sink_calls, 1);
	assert_int_equal(strncmp(last_line, text, strlen(last_line)), 0);
	assert_int_equal(strlen(last_line) + 1, strlen(text));
	free(text);
	report_destroy(&report);
}

/* The numbers in the text are `first` and those after it, one to a line. */
static void check_numbers(struct report *report, int first, int count)
{
	char *text = text_of(report);
	const char *at = text;

	for (int i = 0; i < count; i++) {
		assert_int_equal(atoi(at + STAMP_BYTES), first + i);
		at = strchr(at, '\n');
		assert_non_null(at);
		at++;
	}
	assert_int_equal(*at, '\0');
	free(text);
}

static void the_oldest_lines_make_room(void **state)
{
	struct report report;

	(void)state;
	make(&report);
	for (int i = 1; i <= REPORT_LINES; i++)
		report_add(&report, "%d", i);
	check_numbers(&report, 1, REPORT_LINES);
	for (int i = REPORT_LINES + 1; i <= 3 * REPORT_LINES + 7; i++)
		report_add(&report, "%d", i);
	check_numbers(&report, 2 * REPORT_LINES + 8, REPORT_LINES);
	assert_true(report_total(&report) == 3 * REPORT_LINES + 7);
	report_clear(&report);
	check_numbers(&report, 0, 0);
	assert_true(report_total(&report) == 3 * REPORT_LINES + 7);
	report_add(&report, "%d", 5);
	check_numbers(&report, 5, 1);
	report_destroy(&report);
}

/* As of a store that was recovered before it was opened to be read. */
static void lines_of_another_are_kept_as_they_were(void **state)
{
	struct report former, report;
	char *before, *after;

	(void)state;
	make(&former);
	for (int i = 1; i <= REPORT_LINES; i++)
		report_add(&former, "%d", i);
	before = text_of(&former);
	make(&report);
	report_keep(&report, "");
	check_numbers(&report, 0, 0);
	report_keep(&report, before);
	after = text_of(&report);
	assert_string_equal(after, before); /* with their times */
	assert_int_equal(sink_calls, 0); /* which has been told */
	report_add(&report, "%d", REPORT_LINES + 1);
	check_numbers(&report, 2, REPORT_LINES);
	free(before);
	free(after);
	report_destroy(&former);
	report_destroy(&report);
}

static void a_long_line_is_cut(void **state)
{
	char longer[2 * REPORT_LINE_BYTES];
	struct report report;
	char *text;

	(void)state;
	make(&report);
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	for (int i = 0; i < 2 * REPORT_LINES; i++)
		report_add(&report, "%s", longer);
	text = text_of(&report);
	assert_int_equal(strlen(text), REPORT_LINES * REPORT_LINE_BYTES);
	assert_int_equal(strchr(text, '\n') - text, REPORT_LINE_BYTES - 1);
	free(text);
	report_destroy(&report);
}

static void a_name_cannot_make_up_a_line(void **state)
{
	struct report report;
	char *text;

	(void)state;
	make(&report);
	report_add(&report, "no such file: %s", "a\nb\x1b[1m\x7f");
	text = text_of(&report);
	assert_string_equal(text + STAMP_BYTES, "no such file: a?b?[1m?\n");
	free(text);
	report_destroy(&report);
}

/* A sink that reads the report: it is called without the lock. */
static void read_it(void *arg, const char *line)
{
	struct report *report = *(struct report **)arg;
	char *text = text_of(report);

	assert_true(strlen(text) > strlen(line));
	free(text);
}

static void the_sink_may_use_the_report(void **state)
{
	struct report *self, report;

	(void)state;
	self = &report;
	assert_int_equal(report_init(&report, read_it, &self), 0);
	report_add(&report, "x");
	report_destroy(&report);
	assert_int_equal(report_init(&report, NULL, NULL), 0);
	report_add(&report, "x");
	report_destroy(&report);
}

#define THREADS 4
#define ADDS 2000

static void *add_many(void *arg)
{
	for (int i = 0; i < ADDS; i++) {
		report_add(arg, "%d", i);
		if (i % 100 == 0)
			free(text_of(arg));
	}
	return NULL;
}

static void threads_add_whole_lines(void **state)
{
	pthread_t threads[THREADS];
	struct report report;
	char *text;
	int lines = 0;

	(void)state;
	assert_int_equal(report_init(&report, NULL, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_many, &report), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_true(report_total(&report) == THREADS * ADDS);
	text = text_of(&report);
	for (const char *at = text; *at; at = strchr(at, '\n') + 1, lines++) {
		assert_int_equal(at[STAMP_BYTES - 2], 'Z');
		assert_in_range(atoi(at + STAMP_BYTES), 0, ADDS - 1);
	}
	assert_int_equal(lines, REPORT_LINES);
	free(text);
	report_destroy(&report);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_has_a_time_and_a_newline),
		cmocka_unit_test(the_oldest_lines_make_room),
		cmocka_unit_test(lines_of_another_are_kept_as_they_were),
		cmocka_unit_test(a_long_line_is_cut),
		cmocka_unit_test(a_name_cannot_make_up_a_line),
		cmocka_unit_test(the_sink_may_use_the_report),
		cmocka_unit_test(threads_add_whole_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
