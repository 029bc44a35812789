/* What control/errors reads: the mount's own lines and those of its store. */
#include "unit.h"

#include "fs/base/caller.h"
#include "fs/base/errors.h"

#define STAMP_BYTES 21 /* "2026-01-31T12:00:00Z " */

static char last_line[ERRORS_LINE_BYTES];
static int sink_calls, sink_faults;
static uid_t sink_uid;

static void keep_last(const char *line, bool fault, uid_t uid)
{
	assert_true(strlen(line) < sizeof(last_line));
	memcpy(last_line, line, strlen(line) + 1);
	sink_calls++;
	sink_faults += fault;
	sink_uid = uid;
}

static int setup(void **state)
{
	struct errors *errors = NULL;

	sink_calls = sink_faults = 0;
	assert_int_equal(errors_new(keep_last, &errors), 0);
	*state = errors;
	return 0;
}

static int teardown(void **state)
{
	errors_free(*state);
	return 0;
}

__attribute__((format(printf, 2, 3))) static void add(struct errors *errors, const char *format,
                                                      ...)
{
	va_list args;

	va_start(args, format);
	errors_addv(errors, format, args);
	va_end(args);
}

/* Inlined, gcc 12 takes what it returns for a pointer to its variable. */
static __attribute__((noinline)) char *text_of(struct errors *errors)
{
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	assert_non_null(out);
	errors_show(errors, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void lines_of_both_stand_in_the_order_they_came_in(void **state)
{
	struct errors *errors = *state;
	int year, month, day, hour, minute, second, end = 0;
	char *text;

	text = text_of(errors);
	assert_string_equal(text, "");
	free(text);
	errors_from_store(errors, "2026-01-31T12:00:00Z slot 3: checksum");
	add(errors, "vector %d: got %d of %d bytes", 42, 100, 3072);
	errors_from_store(errors, "2026-01-31T12:00:00Z the disk is full");
	text = text_of(errors);
	assert_int_equal(sscanf(strchr(text, '\n') + 1, "%4d-%2d-%2dT%2d:%2d:%2dZ %n", &year,
	                        &month, &day, &hour, &minute, &second, &end),
	                 6);
	assert_int_equal(end, STAMP_BYTES);
	memcpy(strchr(text, '\n') + 1, "2026-01-31T12:00:01Z ", STAMP_BYTES);
	assert_string_equal(text, "2026-01-31T12:00:00Z slot 3: checksum\n"
	                          "2026-01-31T12:00:01Z vector 42: got 100 of 3072 bytes\n"
	                          "2026-01-31T12:00:00Z the disk is full\n");
	assert_string_equal(last_line, "2026-01-31T12:00:00Z the disk is full");
	assert_int_equal(sink_calls, 3);
	free(text);
}

static void the_oldest_lines_make_room(void **state)
{
	struct errors *errors = *state;
	char *text;
	const char *at;

	for (unsigned i = 0; i < ERRORS_LINES + 100; i++)
		add(errors, "%u", i);
	text = text_of(errors);
	at = text;
	for (unsigned i = 0; i < ERRORS_LINES; i++) {
		assert_int_equal(atoi(at + STAMP_BYTES), 100 + i);
		at = strchr(at, '\n');
		assert_non_null(at);
		at++;
	}
	assert_int_equal(*at, '\0');
	assert_int_equal(errors_total(errors), ERRORS_LINES + 100);
	free(text);
}

/* How many lines of `text` have `part` in them. */
static unsigned count_lines(const char *text, const char *part)
{
	unsigned count = 0;

	for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part))
		count++;
	return count;
}

static void refusals_push_no_fault_out(void **state)
{
	struct errors *errors = *state;
	char *text;

	errors_from_store(errors, "2026-01-31T12:00:00Z slot 3: checksum");
	for (unsigned i = 0; i < 10 * ERRORS_LINES; i++)
		add(errors, "refused %u", i);
	errors_from_store(errors, "2026-01-31T12:00:00Z slot 4: checksum");
	text = text_of(errors);
	assert_int_equal(count_lines(text, "refused"), ERRORS_LINES);
	assert_int_equal(strncmp(text, "2026-01-31T12:00:00Z slot 3: checksum\n", 38), 0);
	assert_string_equal(text + strlen(text) - 38, "2026-01-31T12:00:00Z slot 4: checksum\n");
	assert_int_equal(sink_faults, 2);
	free(text);
}

static void one_users_lines_push_out_nobody_elses(void **state)
{
	struct errors *errors = *state;
	char *text;

	caller_uid = 7;
	for (unsigned i = 0; i < 100; i++)
		add(errors, "seven %u.", i);
	errors_from_store(errors, "2026-01-31T12:00:00Z fault of seven");
	assert_int_equal(sink_uid, 7);
	caller_uid = 8;
	for (unsigned i = 0; i < 1000; i++) {
		char line[64];

		add(errors, "eight %u.", i);
		(void)snprintf(line, sizeof(line), "2026-01-31T12:00:00Z fault of eight %u.", i);
		errors_from_store(errors, line);
	}
	text = text_of(errors);
	assert_int_equal(count_lines(text, "seven"), 101);
	assert_int_equal(count_lines(text, " eight "), ERRORS_LINES - 100 + ERRORS_LINES - 1);
	assert_non_null(strstr(text, "Z eight 844.")); /* the newest of theirs */
	assert_null(strstr(text, "Z eight 843."));
	free(text);
	/* Who comes later has as much room as the others. */
	caller_uid = 9;
	for (unsigned i = 0; i < 1000; i++)
		add(errors, "nine %u.", i);
	text = text_of(errors);
	assert_in_range(count_lines(text, "seven"), 85, 87);
	assert_in_range(count_lines(text, "Z eight"), 85, 86);
	assert_in_range(count_lines(text, "Z nine"), 85, 86);
	free(text);
	caller_uid = CALLER_NOBODY;
}

static void a_fault_that_is_met_again_is_one_line(void **state)
{
	struct errors *errors = *state;
	char *text;

	errors_from_store(errors, "2026-01-31T12:00:00Z slot 3: checksum");
	errors_from_store(errors, "2026-01-31T12:00:00Z slot 4: checksum");
	for (unsigned i = 0; i < 1000; i++)
		errors_from_store(errors, "2026-01-31T12:00:01Z slot 3: checksum");
	text = text_of(errors);
	assert_string_equal(text, "2026-01-31T12:00:00Z slot 4: checksum\n"
	                          "2026-01-31T12:00:01Z slot 3: checksum\n");
	assert_int_equal(sink_calls, 2);
	assert_int_equal(errors_total(errors), 1002);
	free(text);
	errors_from_store(errors, "short"); /* no stamp: as it is */
	errors_from_store(errors, "short");
	text = text_of(errors);
	assert_int_equal(count_lines(text, "short"), 2);
	free(text);
}

static void cleared_lines_stay_counted(void **state)
{
	struct errors *errors = *state;
	char *text;

	add(errors, "one");
	add(errors, "two");
	errors_clear(errors);
	text = text_of(errors);
	assert_string_equal(text, "");
	free(text);
	add(errors, "three");
	text = text_of(errors);
	assert_string_equal(text + STAMP_BYTES, "three\n");
	assert_int_equal(errors_total(errors), 3);
	free(text);
}

static void a_name_cannot_look_like_a_line(void **state)
{
	struct errors *errors = *state;
	char *text, *name = malloc(2 * ERRORS_LINE_BYTES);

	assert_non_null(name);
	add(errors, "a\nb\tc\x7f\xc3\xa4");
	text = text_of(errors);
	assert_string_equal(text + STAMP_BYTES, "a?b?c???\n");
	assert_non_null(strstr(last_line, "a?b?c?\xc3\xa4")); /* the log may have UTF-8 */
	free(text);
	errors_clear(errors);
	memset(name, 'x', 2 * ERRORS_LINE_BYTES - 1);
	name[2 * ERRORS_LINE_BYTES - 1] = '\0';
	add(errors, "%s", name);
	text = text_of(errors);
	assert_int_equal(strlen(text), ERRORS_LINE_BYTES); /* its NUL is a newline here */
	free(text);
	free(name);
}

static void what_is_held_is_told_when_somebody_looks(void **state)
{
	struct errors *errors = *state;
	char *text;

	caller_uid = 1000;
	errors_hold(errors, 42, 7, "%s: empty", "42.txt");
	caller_uid = 0;
	assert_int_equal(sink_calls, 0);
	text = text_of(errors);
	assert_string_equal(text + STAMP_BYTES, "42.txt: empty\n");
	free(text);
	assert_int_equal(sink_calls, 1);
	assert_int_equal(sink_faults, 0);
	assert_int_equal(sink_uid, 1000);
	errors_hold(errors, 42, 7, "again");
	assert_int_equal(errors_total(errors), 2);
	assert_int_equal(errors_faults(errors), 0);
}

static void what_is_put_right_is_not_told(void **state)
{
	struct errors *errors = *state;
	char *text;

	errors_hold(errors, 42, 7, "of 42 by 7");
	errors_hold(errors, 42, 8, "of 42 by 8");
	errors_hold(errors, 43, 7, "of 43 by 7");
	errors_take_back(errors, 42, 7);
	errors_take_back(errors, 44, 7);
	assert_int_equal(sink_calls, 0);
	text = text_of(errors);
	assert_non_null(strstr(text, "of 42 by 8"));
	assert_non_null(strstr(text, "of 43 by 7"));
	assert_null(strstr(text, "of 42 by 7"));
	free(text);
	assert_int_equal(errors_total(errors), 2);
}

static void the_oldest_that_are_held_make_room(void **state)
{
	struct errors *errors = *state;

	for (unsigned i = 0; i < ERRORS_HELD_MAX + 3; i++)
		errors_hold(errors, i, 7, "number %u", i);
	assert_int_equal(sink_calls, 3);
	assert_string_equal(last_line + STAMP_BYTES, "number 2");
	errors_take_back(errors, 1, 7);
	assert_int_equal(errors_total(errors), ERRORS_HELD_MAX + 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		CASE(lines_of_both_stand_in_the_order_they_came_in),
		CASE(the_oldest_lines_make_room),
		CASE(refusals_push_no_fault_out),
		CASE(one_users_lines_push_out_nobody_elses),
		CASE(a_fault_that_is_met_again_is_one_line),
		CASE(cleared_lines_stay_counted),
		CASE(a_name_cannot_look_like_a_line),
		CASE(what_is_held_is_told_when_somebody_looks),
		CASE(what_is_put_right_is_not_told),
		CASE(the_oldest_that_are_held_make_room),
	};

	return cmocka_run_group_tests_name("errors", tests, NULL, NULL);
}
