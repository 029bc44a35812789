/* Values written to control files, records of control/put, what /proc tells. */
#include "unit.h"

#include <endian.h>
#include <inttypes.h>

#include "fs/base/proc_signal.h"
#include "fs/base/proc_umask.h"
#include "fs/base/value.h"
#include "fs/control/put_records.h"

static void blanks_at_the_ends_do_not_count(void **state)
{
	static const struct {
		const char *written;
		const char *value;
	} all[] = { { "start", "start" },   { "start\n", "start" },
		    { " \t12 \r\n", "12" }, { "", "" },
		    { "\n", "" },           { " \n \t", "" },
		    { "a b\n\n", "a b" },   { "idle; last run\n", "idle; last run" } };

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		size_t length = 99;
		const char *value = value_trim(all[i].written, strlen(all[i].written), &length);

		assert_int_equal(length, strlen(all[i].value));
		assert_memory_equal(value, all[i].value, length);
	}
}

static void one_newline_ends_a_line(void **state)
{
	static const struct {
		const char *written;
		size_t length;
	} all[] = { { "", 0 },      { "\n", 0 },    { "\n\n", 1 }, { "a", 1 },    { "a\n", 1 },
		    { " a \n", 3 }, { "a\n\n", 2 }, { "a\nb", 3 }, { "a\r\n", 2 } };

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		size_t length = 99;

		assert_ptr_equal(value_line(all[i].written, strlen(all[i].written), &length),
		                 all[i].written);
		assert_int_equal(length, all[i].length);
	}
}

static void numbers_are_digits_that_fit(void **state)
{
	static const char *const bad[] = { "",    "-1",
		                           "+1",  "0x10",
		                           "1 ",  "1.5",
		                           "ten", "18446744073709551616",
		                           "1\n", "99999999999999999999999" };
	uint64_t number = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(value_parse_u64(bad[i], strlen(bad[i]), &number), -EINVAL);
	assert_int_equal(value_parse_u64("1\0", 2, &number), -EINVAL);
	assert_int_equal(number, 7);
	assert_int_equal(value_parse_u64("18446744073709551615", 20, &number), 0);
	assert_true(number == UINT64_MAX);
	assert_int_equal(value_parse_u64("007", 3, &number), 0);
	assert_int_equal(number, 7);
	assert_int_equal(value_parse_u64("429", 2, &number), 0);
	assert_int_equal(number, 42);
}

static void words_are_compared_whole(void **state)
{
	(void)state;
	assert_true(value_is("stop", 4, "stop"));
	assert_false(value_is("stops", 5, "stop"));
	assert_false(value_is("sto", 3, "stop"));
	assert_false(value_is("", 0, "stop"));
	assert_true(value_starts_with("running 43%", 11, "running"));
	assert_true(value_starts_with("running", 7, "running"));
	assert_false(value_starts_with("runningly", 9, "running"));
	assert_false(value_starts_with("run", 3, "running"));
}

static void messages_show_printable_ascii_of_bounded_length(void **state)
{
	char shown[16];

	(void)state;
	value_show("a\nb\xff\0c", 6, shown, sizeof(shown));
	assert_string_equal(shown, "a?b??c");
	value_show("", 0, shown, sizeof(shown));
	assert_string_equal(shown, "");
	value_show("123456789012345", 15, shown, sizeof(shown));
	assert_string_equal(shown, "123456789012345");
	value_show("1234567890123456", 16, shown, sizeof(shown));
	assert_string_equal(shown, "123456789012...");
}

/* ---- control/put -------------------------------------------------------- */

#define N 12u
#define RECORD (8u + N)

/* `count` records with the IDs from `first` on. */
static char *make_records(size_t count, uint64_t first)
{
	char *bytes = calloc(count, RECORD);

	assert_non_null(bytes);
	for (size_t i = 0; i < count; i++) {
		uint64_t id = htole64(first + i);

		memcpy(bytes + i * RECORD, &id, sizeof(id));
		memset(bytes + i * RECORD + sizeof(id), (int)i, N);
	}
	return bytes;
}

static void whole_records_are_taken_apart(void **state)
{
	char *bytes = make_records(300, QUIVER_ID_MAX - 299);
	struct quiver_record *records = NULL;
	struct quiver_error error;
	size_t count = 0;

	(void)state;
	assert_int_equal(put_records(bytes, 300 * RECORD, N, &records, &count, &error), 0);
	assert_int_equal(count, 300);
	for (size_t i = 0; i < count; i++) {
		assert_true(records[i].id == QUIVER_ID_MAX - 299 + i);
		assert_ptr_equal(records[i].data, bytes + i * RECORD + 8);
	}
	free(records);
	free(bytes);
}

static void pieces_of_records_are_refused(void **state)
{
	static const size_t sizes[] = { 0, 1, 7, 8, RECORD - 1, RECORD + 1, 3 * RECORD - 1, N };
	char *bytes = make_records(3, 0);
	struct quiver_record *records = NULL;
	size_t count;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct quiver_error error = { "" };

		assert_int_equal(put_records(bytes, sizes[i], N, &records, &count, &error),
		                 -EINVAL);
		assert_null(records);
		assert_non_null(strstr(error.text, "expected whole records of 20"));
	}
	free(bytes);
}

static void reserved_ids_are_refused_in_any_place(void **state)
{
	struct quiver_record *records = NULL;
	size_t count;

	(void)state;
	for (size_t at = 0; at < 3; at++) {
		char *bytes = make_records(3, 0);
		uint64_t id = htole64(at == 1 ? QUIVER_ID_NONE : QUIVER_ID_MAX + 1);
		struct quiver_error error = { "" };

		memcpy(bytes + at * RECORD, &id, sizeof(id));
		assert_int_equal(put_records(bytes, 3 * RECORD, N, &records, &count, &error),
		                 -EINVAL);
		assert_null(records);
		assert_non_null(strstr(error.text, "expected at most 18446744069414584319"));
		free(bytes);
	}
}

/* ---- /proc/PID/status --------------------------------------------------- */

static void the_umask_is_found_in_its_own_line(void **state)
{
	mode_t mask = 01;

	(void)state;
	assert_true(proc_umask_parse("Name:\tcat\nUmask:\t0027\nState:\tR\n", &mask));
	assert_int_equal(mask, 027);
	assert_true(proc_umask_parse("Name:\tUmask:\t0777\nUmask:\t0002\n", &mask));
	assert_int_equal(mask, 02);
	assert_false(proc_umask_parse("Name:\tUmask:\t0777\n", &mask));
	assert_false(proc_umask_parse("", &mask));
	assert_false(proc_umask_parse("Umask:\t\n", &mask));
	assert_false(proc_umask_parse("Umask:\t0089\n", &mask));
	assert_false(proc_umask_parse("Umask:\t17777\n", &mask));
	assert_int_equal(mask, 02);
}

static void the_umask_of_this_process_is_what_it_set(void **state)
{
	mode_t before = umask(0137);

	(void)state;
	assert_int_equal(proc_umask(getpid()), 0137);
	umask(before);
	assert_int_equal(proc_umask(0), 022);
}

#define SIGNALS(own, shared, blocked, ignored, handled)                           \
	"Name:\tSigPnd:\nPid:\t7\nSigQ:\t1/9\nSigPnd:\t" own "\nShdPnd:\t" shared \
	"\nSigBlk:\t" blocked "\nSigIgn:\t" ignored "\nSigCgt:\t" handled         \
	"\nCapInh:\t0000000000000000\n"
#define NONE "0000000000000000"
#define ON_INT "0000000000000002"
#define ON_KILL "0000000000000100"
#define ON_ALRM "0000000000002000"
#define ON_TSTP "0000000000080000"
#define ON_URG "0000000000400000"

static void who_is_only_told_something_is_not_called_off(void **state)
{
	(void)state;
	assert_false(proc_status_is_called_off(SIGNALS(NONE, NONE, NONE, NONE, NONE)));
	assert_false(proc_status_is_called_off(SIGNALS(ON_ALRM, NONE, NONE, NONE, ON_ALRM)));
	assert_false(proc_status_is_called_off(
		SIGNALS(ON_URG, ON_ALRM, NONE, NONE, "0000000000402000")));
	assert_false(proc_status_is_called_off(SIGNALS(NONE, ON_TSTP, NONE, NONE, NONE)));
	assert_false(proc_status_is_called_off(SIGNALS(ON_INT, NONE, ON_INT, NONE, NONE)));
	assert_false(proc_status_is_called_off(SIGNALS(NONE, ON_INT, NONE, ON_INT, NONE)));
}

static void who_is_to_end_is_called_off(void **state)
{
	(void)state;
	assert_true(proc_status_is_called_off(SIGNALS(ON_KILL, NONE, NONE, NONE, NONE)));
	assert_true(proc_status_is_called_off(SIGNALS(NONE, ON_INT, NONE, NONE, NONE)));
	assert_true(proc_status_is_called_off(SIGNALS(NONE, ON_INT, NONE, NONE, ON_INT)));
	assert_true(proc_status_is_called_off(SIGNALS(NONE, ON_ALRM, NONE, NONE, NONE)));
	assert_true(proc_status_is_called_off(SIGNALS(ON_ALRM, ON_INT, NONE, NONE, ON_ALRM)));
}

static void who_cannot_be_looked_at_is_called_off(void **state)
{
	(void)state;
	assert_true(proc_status_is_called_off(""));
	assert_true(proc_status_is_called_off("Name:\tcat\nSigPnd:\t" NONE "\n"));
	assert_true(proc_is_called_off(0));
	assert_false(proc_is_called_off(getpid()));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blanks_at_the_ends_do_not_count),
		cmocka_unit_test(one_newline_ends_a_line),
		cmocka_unit_test(numbers_are_digits_that_fit),
		cmocka_unit_test(words_are_compared_whole),
		cmocka_unit_test(messages_show_printable_ascii_of_bounded_length),
		cmocka_unit_test(whole_records_are_taken_apart),
		cmocka_unit_test(pieces_of_records_are_refused),
		cmocka_unit_test(reserved_ids_are_refused_in_any_place),
		cmocka_unit_test(the_umask_is_found_in_its_own_line),
		cmocka_unit_test(the_umask_of_this_process_is_what_it_set),
		cmocka_unit_test(who_is_only_told_something_is_not_called_off),
		cmocka_unit_test(who_is_to_end_is_called_off),
		cmocka_unit_test(who_cannot_be_looked_at_is_called_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
