#include "engine/media/receive_mark.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

#include "engine/media/bytes.h"

/* Where each field lies; FORMAT.md. */
enum {
	AT_VERSION = 8,
	AT_FLAGS = 12,
	AT_STORE_UUID = 16,
	AT_POSITION = 32,
	AT_NAME = 64,
	AT_SUM = 4088,
	AT_HEADER = 4096,
};

enum { FLAG_GOING_BACK = 1 };

#define MARK_VERSION 1u

static const char magic[8] = { 'Q', 'U', 'I', 'V', 'E', 'R', 'R', 'V' };

/* Of both pages: that of the second ends it. */
static uint64_t sum_of(const uint8_t file[RECEIVE_MARK_BYTES])
{
	uint8_t bytes[AT_SUM + 8];

	memcpy(bytes, file, AT_SUM);
	memcpy(bytes + AT_SUM, file + RECEIVE_MARK_BYTES - 8, 8);
	return XXH3_64bits(bytes, sizeof(bytes));
}

void receive_mark_encode(const struct receive_mark *mark, uint8_t file[RECEIVE_MARK_BYTES])
{
	memset(file, 0, AT_HEADER);
	memcpy(file, magic, sizeof(magic));
	put_le32(file + AT_VERSION, MARK_VERSION);
	put_le32(file + AT_FLAGS, mark->going_back ? FLAG_GOING_BACK : 0);
	memcpy(file + AT_STORE_UUID, mark->store_uuid, sizeof(mark->store_uuid));
	put_le64(file + AT_POSITION, mark->position);
	memcpy(file + AT_NAME, mark->name, strlen(mark->name));
	stream_header_encode(&mark->header, file + AT_HEADER);
	put_le64(file + AT_SUM, sum_of(file));
}

int receive_mark_decode(const uint8_t file[RECEIVE_MARK_BYTES], const uint8_t store_uuid[16],
                        struct receive_mark *mark)
{
	int r;

	memset(mark, 0, sizeof(*mark));
	if (memcmp(file, magic, sizeof(magic)) != 0 || get_le64(file + AT_SUM) != sum_of(file) ||
	    memcmp(file + AT_STORE_UUID, store_uuid, 16) != 0)
		return -EUCLEAN;
	if (get_le32(file + AT_VERSION) > MARK_VERSION)
		return -ENOTSUP;
	memcpy(mark->store_uuid, store_uuid, 16);
	mark->going_back = get_le32(file + AT_FLAGS) & FLAG_GOING_BACK;
	mark->position = get_le64(file + AT_POSITION);
	memcpy(mark->name, file + AT_NAME, QUIVER_SNAPSHOT_NAME_MAX);
	r = stream_header_decode(file + AT_HEADER, &mark->header);
	if (r)
		return r == -ENOTSUP ? r : -EUCLEAN;
	if (mark->position > stream_items(&mark->header) ||
	    (mark->going_back && !mark->header.has_old) ||
	    !quiver_snapshot_name_is_valid(mark->name))
		return -EUCLEAN;
	return 0;
}
