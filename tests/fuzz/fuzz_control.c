/* fuzz_control.c - what is written to control files, and mount options. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/description.h"
#include "fs/base/value.h"
#include "fs/control/nearest_request.h"
#include "fs/control/put_records.h"
#include "fs/daemon/options.h"
#include "fuse_opt.h"
#include "fuzz.h"

int fuse_opt_add_opt_escaped(char **list, const char *option)
{
	size_t used = *list ? strlen(*list) : 0;
	char *grown = realloc(*list, used + 2 * strlen(option) + 2);

	if (!grown)
		return -1;
	if (used)
		grown[used++] = ',';
	for (; *option; option++) {
		if (*option == ',' || *option == '\\')
			grown[used++] = '\\';
		grown[used++] = *option;
	}
	grown[used] = '\0';
	*list = grown;
	return 0;
}

/* Table 3-7 of the Unicode standard: the sequences there are, by their first two bytes. What follows
 * those is 0x80 to 0xbf. */
static const struct {
	uint8_t first_low, first_high;
	uint8_t second_low, second_high; /* 0: none */
	uint8_t length;
} sequences[] = {
	{ 0x00, 0x7f, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
	{ 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
	{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
};

/* How long the character is; 0 where there is none, or it is a control character. */
static size_t character(const uint8_t *at, size_t left)
{
	size_t length = 0;

	for (size_t i = 0; i < sizeof(sequences) / sizeof(sequences[0]); i++)
		if (at[0] >= sequences[i].first_low && at[0] <= sequences[i].first_high &&
		    sequences[i].length <= left &&
		    (sequences[i].length == 1 ||
		     (at[1] >= sequences[i].second_low && at[1] <= sequences[i].second_high)))
			length = sequences[i].length;
	for (size_t i = 2; i < length; i++)
		if (at[i] < 0x80 || at[i] > 0xbf)
			return 0;
	if (length == 1 && (at[0] < 0x20 || at[0] == 0x7f))
		return 0;
	return length == 2 && at[0] == 0xc2 && at[1] < 0xa0 ? 0 : length;
}

/* What is taken for a label is one line of UTF-8. */
static void labels(const char *bytes, size_t size)
{
	size_t length;
	size_t at = 0;
	size_t step = 1;
	const char *text = value_line(bytes, size, &length);

	FUZZ_CHECK(text == bytes && size - length <= 1);
	FUZZ_CHECK(length == size || bytes[length] == '\n');
	while (at < length && step > 0) {
		step = character((const uint8_t *)text + at, length - at);
		at += step;
	}
	FUZZ_CHECK(description_label_is_valid(text, length) == (at == length));
}

static void values(const char *bytes, size_t size)
{
	char shown[64];
	char text[32];
	uint64_t number, again;
	size_t length;
	const char *value = value_trim(bytes, size, &length);
	enum quiver_durability mode;
	enum quiver_metric metric;
	enum quiver_dtype dtype;

	FUZZ_CHECK(value >= bytes && value + length <= bytes + size);
	labels(bytes, size);
	value_show(value, length, shown, sizeof(shown));
	FUZZ_CHECK(strlen(shown) < sizeof(shown));
	if (value_parse_u64(value, length, &number) == 0) {
		snprintf(text, sizeof(text), "%" PRIu64, number);
		FUZZ_CHECK(value_parse_u64(text, strlen(text), &again) == 0 && again == number);
	}
	if (value_is(value, length, "start"))
		FUZZ_CHECK(value_starts_with(value, length, "start"));
	if (quiver_durability_parse(shown, &mode) == 0)
		FUZZ_CHECK(strcmp(quiver_durability_name(mode), shown) == 0);
	if (quiver_metric_parse(shown, &metric) == 0)
		FUZZ_CHECK(strcmp(quiver_metric_name(metric), shown) == 0);
	if (quiver_dtype_parse(shown, &dtype) == 0)
		FUZZ_CHECK(strcmp(quiver_dtype_name(dtype), shown) == 0);
}

static void records(const char *bytes, size_t size, uint32_t vector_bytes)
{
	struct quiver_record *list;
	struct quiver_error error = { "" };
	size_t count;
	int r = put_records(bytes, size, vector_bytes, &list, &count, &error);

	FUZZ_CHECK(r == 0 || (r == -EINVAL && error.text[0] && !list));
	for (size_t i = 0; r == 0 && i < count; i++) {
		const char *data = list[i].data;

		FUZZ_CHECK(list[i].id <= QUIVER_ID_MAX);
		FUZZ_CHECK(data >= bytes && data + vector_bytes <= bytes + size);
		FUZZ_CHECK(!list[i].attr ||
		           (list[i].attr->mode <= 07777 && list[i].attr_mask <= QUIVER_ATTR_ALL));
	}
	free(list);
}

static void question(const char *bytes, size_t size, uint32_t vector_bytes)
{
	struct quiver_question asked;
	struct quiver_error error = { "" };
	int r = nearest_request(bytes, size, vector_bytes, &asked, &error);
	const char *end = bytes + size;

	FUZZ_CHECK(r == 0 || (r == -EINVAL && error.text[0]));
	if (r != 0)
		return;
	FUZZ_CHECK(asked.count > 0 && asked.k > 0);
	FUZZ_CHECK((const char *)asked.vectors >= bytes + NEAREST_HEAD_BYTES &&
	           (const char *)asked.vectors + asked.count * vector_bytes == end);
	FUZZ_CHECK((asked.id_count == 0) == !asked.ids);
	FUZZ_CHECK(!asked.ids || (const char *)(asked.ids + asked.id_count) <= end);
	FUZZ_CHECK(!asked.except || (const char *)(asked.except + asked.count) <= end);
}

static void options(const char *bytes, size_t size)
{
	struct mount_options parsed;
	struct quiver_error error = { "" };
	char *text = malloc(size + 1);
	int r;

	FUZZ_CHECK(text);
	memcpy(text, bytes, size);
	text[size] = '\0';
	r = mount_options_parse(text, &parsed, &error);
	FUZZ_CHECK(r == 0 || (r == -EINVAL && error.text[0]));
	FUZZ_CHECK(r != 0 || parsed.autocompact_percent <= 100);
	mount_options_free(&parsed);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A block of its own of just that size, so that reading past it is seen. */
	char *bytes = malloc(size ? size : 1);

	FUZZ_CHECK(bytes);
	if (size > 0)
		memcpy(bytes, data, size);
	values(bytes, size);
	records(bytes, size, size > 0 ? (uint32_t)data[0] + 1 : 1);
	question(bytes, size, size > 0 ? (uint32_t)data[0] + 1 : 1);
	options(bytes, size);
	free(bytes);
	return 0;
}

/* What is written to control files, and given to -o. */
static const char *const texts[] = {
	"start\n",
	"stop",
	" idle; last 0\n",
	"running 43%",
	"always",
	"fsync\n",
	"flush",
	"none",
	"0",
	"100\n",
	"18446744073709551615",
	"f4",
	"u1",
	"cosine\n",
	"hamming",
	"bge-m3, gr\xc3\xb6\xc3\x9fte \xe6\x96\x87 \xf0\x9f\x98\x80\n",
	"\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf\xc2\xa0",
	"ro,noatime,allow_other,default_permissions",
	"durability=always,commit=5,autocompact=30,uid=1000,gid=1000,umask=022",
	"io_uring=off,clone_fd,max_idle_threads=4",
	"fsname=a\\,b,subtype=quiverfs,context=\"x\"",
	"_netdev,nofail,x-systemd.automount,user",
};
#define TEXTS (sizeof(texts) / sizeof(texts[0]))

/* Two records with attributes. The first byte, which is the size of a vector, is that of the mark. */
static size_t seed_with_attributes(uint8_t *to, size_t room)
{
	size_t n = 'Q' + 1;
	size_t length = PUT_HEAD_BYTES + 2 * (PUT_RECORD_BYTES + n);

	FUZZ_CHECK(room >= length);
	memset(to, 0, length);
	memcpy(to, "QVA1\xff\xff\xff\xff", 8);
	to[8] = PUT_RECORD_BYTES;
	to[PUT_HEAD_BYTES] = 7;
	to[PUT_HEAD_BYTES + 24] = 0xa4; /* mode */
	to[PUT_HEAD_BYTES + 28] = QUIVER_ATTR_ALL;
	return length;
}

/* Two questions, three IDs and two that are left out; the first byte is that of the mark. */
static size_t seed_question(uint8_t *to, size_t room)
{
	size_t n = 'Q' + 1;
	size_t length = NEAREST_HEAD_BYTES + 5 * 8 + 2 * n;

	FUZZ_CHECK(room >= length);
	memset(to, 0, length);
	memcpy(to, NEAREST_MARK, 8);
	to[8] = NEAREST_VERSION;
	to[12] = 10;
	to[20] = QUIVER_NEAREST_EXACT;
	to[32] = 2;
	to[40] = 3;
	to[48] = 2;
	return length;
}

/* And batches for control/put of vectors of 8 bytes; the first byte of an input is the size. */
size_t fuzz_seed(unsigned number, uint8_t *to, size_t room)
{
	size_t length;

	if (number < TEXTS) {
		length = strlen(texts[number]);
		FUZZ_CHECK(room >= length);
		memcpy(to, texts[number], length);
		return length;
	}
	if (number == TEXTS + 4)
		return seed_with_attributes(to, room);
	if (number == TEXTS + 5)
		return seed_question(to, room);
	if (number > TEXTS + 5)
		return FUZZ_NO_SEED;
	length = (number - TEXTS) * 16;
	FUZZ_CHECK(room >= length);
	for (size_t i = 0; i < length; i++)
		to[i] = i % 16 == 0 ? 7 : 0;
	return length;
}
