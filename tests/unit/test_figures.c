/* test_figures.c - numbers as people read them, and bars. */
#include "tools/cli/figures.h"

#include "unit.h"

static void counts(void **state)
{
	char text[FIGURE_BYTES];

	(void)state;
	assert_string_equal(figure_count(0, text), "0");
	assert_string_equal(figure_count(999, text), "999");
	assert_string_equal(figure_count(1000, text), "1,000");
	assert_string_equal(figure_count(1234567, text), "1,234,567");
	assert_string_equal(figure_count(UINT64_MAX, text), "18,446,744,073,709,551,615");
}

static void short_counts_have_nine_characters(void **state)
{
	char text[FIGURE_BYTES];

	(void)state;
	assert_string_equal(figure_short(9999999, text), "9,999,999");
	assert_string_equal(figure_short(10000000, text), "10.0 M");
	assert_string_equal(figure_short(999949999, text), "999.9 M");
	assert_string_equal(figure_short(999960000, text), "1.0 G");
	assert_string_equal(figure_short(UINT64_MAX, text), "18.4 E");
	for (uint64_t number = 1; number < UINT64_MAX / 7; number *= 7)
		assert_true(strlen(figure_short(number, text)) <= 9);
}

static void bytes(void **state)
{
	char text[FIGURE_BYTES];

	(void)state;
	assert_string_equal(figure_bytes(0, text), "0 B");
	assert_string_equal(figure_bytes(1023, text), "1023 B");
	assert_string_equal(figure_bytes(1536, text), "1.5 KiB");
	assert_string_equal(figure_bytes(UINT64_C(5) << 40, text), "5.0 TiB");
	assert_string_equal(figure_bytes(UINT64_MAX, text), "16.0 EiB");
}

static void times(void **state)
{
	char text[FIGURE_BYTES];

	(void)state;
	assert_string_equal(figure_time(0, text), "0 ns");
	assert_string_equal(figure_time(999, text), "999 ns");
	assert_string_equal(figure_time(1500, text), "1.5 us");
	assert_string_equal(figure_time(12300000, text), "12.3 ms");
	assert_string_equal(figure_time(1250000000, text), "1.25 s");
}

static void rates(void **state)
{
	char text[FIGURE_BYTES];

	(void)state;
	assert_string_equal(figure_rate(0, text), "0");
	assert_string_equal(figure_rate(-1, text), "0");
	assert_string_equal(figure_rate(0.25, text), "0.25");
	assert_string_equal(figure_rate(3.44, text), "3.4");
	assert_string_equal(figure_rate(12345.4, text), "12,345");
}

static void a_bar_shows_shares(void **state)
{
	const struct bar_part parts[] = { { '#', 50 }, { '-', 0 }, { '.', 25 }, { '_', 25 } };
	char bar[21];

	(void)state;
	bar_draw(parts, 4, 20, bar);
	assert_string_equal(bar, "##########....._____");
}

static void a_bar_shows_the_smallest_part(void **state)
{
	const struct bar_part parts[] = {
		{ '#', 1 },
		{ '-', 1 },
		{ '.', UINT64_MAX / 2 },
		{ '_', 1 },
	};
	char bar[11];

	(void)state;
	bar_draw(parts, 4, 10, bar);
	assert_string_equal(bar, "#-......._");
}

static void a_bar_of_nothing_is_blank(void **state)
{
	const struct bar_part parts[] = { { '#', 0 }, { '.', 0 } };
	char bar[6];

	(void)state;
	bar_draw(parts, 2, 5, bar);
	assert_string_equal(bar, "     ");
}

/* Whatever the amounts are: no cell too many, none left out. */
static void a_bar_is_always_full(void **state)
{
	char bar[71];

	(void)state;
	for (uint64_t a = 1; a < UINT64_C(1) << 60; a *= 9) {
		for (uint64_t b = 1; b < UINT64_C(1) << 60; b *= 11) {
			const struct bar_part parts[] = {
				{ '#', a }, { '-', b }, { '.', a / 3 + b }, { '_', b / 5 }
			};

			bar_draw(parts, 4, 70, bar);
			assert_int_equal(strlen(bar), 70);
			assert_int_equal(strspn(bar, "#-._"), 70);
			assert_true(bar[0] == '#' && strchr(bar, '-') && strchr(bar, '.'));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts),
		cmocka_unit_test(short_counts_have_nine_characters),
		cmocka_unit_test(bytes),
		cmocka_unit_test(times),
		cmocka_unit_test(rates),
		cmocka_unit_test(a_bar_shows_shares),
		cmocka_unit_test(a_bar_shows_the_smallest_part),
		cmocka_unit_test(a_bar_of_nothing_is_blank),
		cmocka_unit_test(a_bar_is_always_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
