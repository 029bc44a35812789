#include "unit.h"

#include "engine/base/error.h"
#include "engine/base/report.h"
#include "engine/codec/printable.h"

static void check(const char *text, const char *shown)
{
	char copy[128];

	snprintf(copy, sizeof(copy), "%s", text);
	printable_clean(copy);
	assert_string_equal(copy, shown);
	printable_clean(copy);
	assert_string_equal(copy, shown);
}

static void text_of_people_is_shown_as_it_came(void **state)
{
	(void)state;
	check("", "");
	check("a b/c.npy ~", "a b/c.npy ~");
	check("žluťoučký kůň", "žluťoučký kůň");
	check("向量 \U0001f3f9", "向量 \U0001f3f9");
}

static void what_a_terminal_obeys_is_not(void **state)
{
	(void)state;
	check("\033]0;owned\a\033[2J\033[31mred", "?]0;owned??[2J?[31mred");
	check("a\nb\rc\td\x7f", "a?b?c?d?");
	check("\xc2\x9b[31m \xc2\x80\xc2\x9f\xc2\xa0", "?[31m ??\xc2\xa0"); /* C1 in UTF-8 */
	check("\x9b"
	      "31m",
	      "?31m"); /* and as a byte */
}

static void what_turns_text_round_is_not(void **state)
{
	(void)state;
	check("\u202e\u202a\u2066\u2069\u200e\u200f\u061c\u2028\u2029", "?????????");
	check("\u200d\u2027\u202f\u2065", "\u200d\u2027\u202f\u2065");
}

static void what_is_no_utf8_is_not(void **state)
{
	(void)state;
	check("\xff\xfe", "??");
	check("\xc3", "?"); /* cut */
	check("\xe2\x82", "??");
	check("\xc0\x9b", "??"); /* ESC and CSI, too long */
	check("\xe0\x80\x9b", "???");
	check("\xed\xa0\x80", "???"); /* half of a pair */
	check("\xf4\x90\x80\x80", "????");
}

static void messages_of_the_engine_are_cleaned(void **state)
{
	struct quiver_error error;
	struct report report;
	char *text;
	size_t length;

	(void)state;
	error_set(&error, "%s: no such store", "/tmp/\033[2J");
	assert_string_equal(error.text, "/tmp/?[2J: no such store");
	assert_int_equal(report_init(&report, NULL, NULL), 0);
	report_add(&report, "wal/%s", "\xc2\x9b\u202e");
	assert_int_equal(report_text(&report, &text, &length), 0);
	assert_non_null(strstr(text, " wal/??\n"));
	free(text);
	report_destroy(&report);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_of_people_is_shown_as_it_came),
		cmocka_unit_test(what_a_terminal_obeys_is_not),
		cmocka_unit_test(what_turns_text_round_is_not),
		cmocka_unit_test(what_is_no_utf8_is_not),
		cmocka_unit_test(messages_of_the_engine_are_cleaned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
