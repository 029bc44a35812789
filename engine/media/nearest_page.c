#include "engine/media/nearest_page.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <xxhash.h>

#include "engine/media/bytes.h"
#include "engine/media/npy_header.h"

/* Where each field lies; FORMAT.md. */
enum {
	AT_VERSION = 8,
	AT_FLAGS = 12,
	AT_UUID = 16,
	AT_LSN = 32,
	AT_BUILD = 40,
	AT_ROWS = 48,
	AT_FILE_BYTES = 56,
	AT_SUMS_HASH = 64,
	AT_DIM = 72,
	AT_DTYPE = 76,
	AT_METRIC = 80,
	AT_WIDTH = 84,
	AT_PROBES = 88,
	AT_RECALL = 112,
	AT_EXACT_MS = 120,
	AT_INDEX_MS = 128,
	AT_VECTORS = 136,
	AT_STARTED = 144,
	AT_DURATION = 152,
	AT_NORM_MAX = 160,
	AT_SUM = 4088,
};

enum { FLAG_NO_HELP = 1 };

#define PAGE_VERSION 1u
/* More than there can be. */
#define SLOTS_MAX (UINT64_C(1) << 32)

static const char magics[][9] = {
	[NEAREST_CENTROIDS] = "QUIVERNC",
	[NEAREST_CELLS] = "QUIVERNL",
};

uint32_t nearest_width(enum quiver_metric metric, enum quiver_dtype dtype, uint32_t dim)
{
	if (metric == QUIVER_HAMMING && dtype == QUIVER_U1)
		return dim * 8;
	return metric == QUIVER_IP ? dim + 1 : dim;
}

static uint64_t whole_pages(uint64_t bytes)
{
	return (bytes + NEAREST_PAGE_BYTES - 1) / NEAREST_PAGE_BYTES;
}

void nearest_lay_out(struct nearest_layout *layout, const struct nearest_page *page)
{
	uint32_t row_bytes = 4 * (page->array == NEAREST_CENTROIDS ? page->width : 1);

	layout->row_bytes = row_bytes;
	layout->data_at = NPY_HEADER_BYTES;
	layout->data_bytes = page->rows * row_bytes;
	layout->pages = whole_pages(layout->data_bytes);
	layout->sums_at = layout->data_at + layout->pages * NEAREST_PAGE_BYTES;
	layout->page_at = layout->sums_at + whole_pages(layout->pages * 8) * NEAREST_PAGE_BYTES;
	layout->file_bytes = layout->page_at + NEAREST_PAGE_BYTES;
}

void nearest_npy_encode(uint8_t header[NEAREST_PAGE_BYTES], const struct nearest_page *page)
{
	if (page->array == NEAREST_CENTROIDS)
		npy_header_encode(header, "'<f4'", page->width, page->rows);
	else
		npy_header_encode(header, "'<u4'", 0, page->rows);
}

uint64_t nearest_page_sum(const uint8_t page[NEAREST_PAGE_BYTES], uint64_t number)
{
	uint8_t both[16];

	put_le64(both, XXH3_64bits(page, NEAREST_PAGE_BYTES));
	put_le64(both + 8, number);
	return XXH3_64bits(both, sizeof(both));
}

static void put_double(uint8_t *to, double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	put_le64(to, bits);
}

static double get_double(const uint8_t *from)
{
	uint64_t bits = get_le64(from);
	double value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static void encode_centroids(const struct nearest_page *page, uint8_t *to)
{
	put_le32(to + AT_DIM, page->dim);
	put_le32(to + AT_DTYPE, (uint32_t)page->dtype);
	put_le32(to + AT_METRIC, (uint32_t)page->metric);
	put_le32(to + AT_WIDTH, page->width);
	for (size_t i = 0; i < NEAREST_PROBES; i++)
		put_le32(to + AT_PROBES + i * 4, page->probes[i]);
	put_double(to + AT_RECALL, page->recall);
	put_double(to + AT_EXACT_MS, page->exact_ms);
	put_double(to + AT_INDEX_MS, page->index_ms);
	put_le64(to + AT_VECTORS, page->vectors);
	put_le64(to + AT_STARTED, (uint64_t)page->started_ns);
	put_le64(to + AT_DURATION, (uint64_t)page->duration_ns);
	put_double(to + AT_NORM_MAX, page->norm_max);
}

void nearest_page_encode(const struct nearest_page *page, uint8_t to[NEAREST_PAGE_BYTES])
{
	struct nearest_layout layout;

	nearest_lay_out(&layout, page);
	memset(to, 0, NEAREST_PAGE_BYTES);
	memcpy(to, magics[page->array], 8);
	put_le32(to + AT_VERSION, PAGE_VERSION);
	put_le32(to + AT_FLAGS, page->no_help ? FLAG_NO_HELP : 0);
	memcpy(to + AT_UUID, page->uuid, sizeof(page->uuid));
	put_le64(to + AT_LSN, page->lsn);
	put_le64(to + AT_BUILD, page->build);
	put_le64(to + AT_ROWS, page->rows);
	put_le64(to + AT_FILE_BYTES, layout.file_bytes);
	put_le64(to + AT_SUMS_HASH, page->sums_hash);
	if (page->array == NEAREST_CENTROIDS)
		encode_centroids(page, to);
	put_le64(to + AT_SUM, XXH3_64bits(to, AT_SUM));
}

static bool is_measure(double value)
{
	return isfinite(value) && value >= 0;
}

static bool are_probes(const struct nearest_page *page)
{
	for (size_t i = 0; i < NEAREST_PROBES; i++)
		if (page->probes[i] == 0 || page->probes[i] > page->rows)
			return false;
	return true;
}

/* Whether what it says of centroids is possible. */
static bool is_possible(const struct nearest_page *page)
{
	/* The first of them before what is computed from them. */
	return page->dim > 0 && page->dim <= QUIVER_DIM_MAX && page->dtype <= QUIVER_B1 &&
	       page->metric <= QUIVER_HAMMING &&
	       page->width == nearest_width(page->metric, page->dtype, page->dim) &&
	       page->rows > 0 && page->rows <= NEAREST_LISTS_MAX &&
	       page->rows * page->width <= NEAREST_NUMBERS_MAX && are_probes(page) &&
	       is_measure(page->recall) && page->recall <= 1 && is_measure(page->exact_ms) &&
	       is_measure(page->index_ms) && is_measure(page->norm_max) &&
	       page->vectors <= SLOTS_MAX;
}

static int decode_centroids(const uint8_t *from, struct nearest_page *page)
{
	page->dim = get_le32(from + AT_DIM);
	page->dtype = (enum quiver_dtype)get_le32(from + AT_DTYPE);
	page->metric = (enum quiver_metric)get_le32(from + AT_METRIC);
	page->width = get_le32(from + AT_WIDTH);
	for (size_t i = 0; i < NEAREST_PROBES; i++)
		page->probes[i] = get_le32(from + AT_PROBES + i * 4);
	page->recall = get_double(from + AT_RECALL);
	page->exact_ms = get_double(from + AT_EXACT_MS);
	page->index_ms = get_double(from + AT_INDEX_MS);
	page->vectors = get_le64(from + AT_VECTORS);
	page->started_ns = (int64_t)get_le64(from + AT_STARTED);
	page->duration_ns = (int64_t)get_le64(from + AT_DURATION);
	page->norm_max = get_double(from + AT_NORM_MAX);
	return is_possible(page) ? 0 : -EBADMSG;
}

int nearest_page_decode(const uint8_t from[NEAREST_PAGE_BYTES], enum nearest_array array,
                        struct nearest_page *page)
{
	struct nearest_layout layout;
	int r = 0;

	if (memcmp(from, magics[array], 8) != 0 ||
	    get_le64(from + AT_SUM) != XXH3_64bits(from, AT_SUM))
		return -EBADMSG;
	if (get_le32(from + AT_VERSION) > PAGE_VERSION)
		return -ENOTSUP;
	*page = (struct nearest_page){ .array = array };
	page->no_help = (get_le32(from + AT_FLAGS) & FLAG_NO_HELP) != 0;
	memcpy(page->uuid, from + AT_UUID, sizeof(page->uuid));
	page->lsn = get_le64(from + AT_LSN);
	page->build = get_le64(from + AT_BUILD);
	page->rows = get_le64(from + AT_ROWS);
	page->sums_hash = get_le64(from + AT_SUMS_HASH);
	if (page->rows > SLOTS_MAX || get_le32(from + AT_VERSION) == 0)
		return -EBADMSG;
	if (array == NEAREST_CENTROIDS)
		r = decode_centroids(from, page);
	if (r)
		return r;
	nearest_lay_out(&layout, page);
	return get_le64(from + AT_FILE_BYTES) == layout.file_bytes ? 0 : -EBADMSG;
}
