#include "engine/rados/header_read.h"

#include <errno.h>
#include <string.h>

#include "engine/media/bytes.h"
#include "engine/rados/flight.h"

/* The omap key of the last creation or removal; FORMAT.md. Hexadecimal, since an OSD compares
 * bytes as signed ones: so, those from 0x80 on would be below all others. */
#define KEY_CHANGED "changed"
#define KEY_CHANGED_BYTES 7u
#define CHANGED_BYTES 16u
/* Never there. */
#define KEY_PERMIT "permit"
#define KEY_PERMIT_BYTES 6u

static void encode_changed(int64_t changed_ns, uint8_t to[CHANGED_BYTES])
{
	for (unsigned i = 0; i < CHANGED_BYTES; i++) {
		unsigned digit = (uint64_t)changed_ns >> 4 * (CHANGED_BYTES - 1 - i) & 15;

		to[i] = (uint8_t) "0123456789abcdef"[digit];
	}
}

/* Another value than 16 such digits is passed over: it is about a time alone. */
static int64_t decode_changed(const void *bytes, size_t length)
{
	const uint8_t *from = bytes;
	uint64_t value = 0;

	if (length != CHANGED_BYTES)
		return 0;
	for (unsigned i = 0; i < CHANGED_BYTES; i++) {
		uint8_t c = from[i];
		bool is_letter = c >= 'a' && c <= 'f';

		if (!is_letter && (c < '0' || c > '9'))
			return 0;
		value = value << 4 | (is_letter ? c - 'a' + 10u : c - '0' + 0u);
	}
	return value <= INT64_MAX ? (int64_t)value : 0;
}

static int look_at(struct flight *flight, struct found_header *found)
{
	const char *key, *value;
	size_t key_bytes, value_bytes;
	int r = collection_header_decode(flight->bytes, flight->bytes_read, &found->header);

	if (r != 0)
		return r;
	memcpy(found->bytes, flight->bytes, COLLECTION_HEADER_BYTES);
	found->changed_ns = 0;
	if (flight_row(flight, &key, &key_bytes, &value, &value_bytes))
		found->changed_ns = decode_changed(value, value_bytes);
	return 0;
}

int header_fetch(rados_ioctx_t io, const char *name, struct found_header *found)
{
	const char *key = KEY_CHANGED;
	const size_t key_bytes = KEY_CHANGED_BYTES;
	struct flight *flight = flight_to_read();
	int r = flight ? flight_room(flight, COLLECTION_HEADER_BYTES) : -ENOMEM;

	if (r == 0) {
		rados_read_op_read(flight->read, 0, COLLECTION_HEADER_BYTES, (char *)flight->bytes,
		                   &flight->bytes_read, &flight->bytes_result);
		rados_read_op_omap_get_vals_by_keys2(flight->read, &key, 1, &key_bytes,
		                                     &flight->rows, &flight->rows_result);
		r = flight_fly(io, flight, name);
	}
	if (r == 0)
		r = look_at(flight, found);
	flight_free(flight);
	return r;
}

int header_replace(rados_ioctx_t io, const char *name, const struct found_header *found,
                   const struct collection_header *header)
{
	uint8_t bytes[COLLECTION_HEADER_BYTES];
	struct flight *flight = flight_to_write();
	int r;

	if (!flight)
		return -ENOMEM;
	collection_header_encode(header, bytes);
	rados_write_op_assert_exists(flight->write);
	rados_write_op_cmpext(flight->write, (const char *)found->bytes, sizeof(found->bytes), 0,
	                      &flight->bytes_result);
	rados_write_op_write(flight->write, (const char *)bytes, sizeof(bytes), 0);
	r = flight_fly(io, flight, name);
	flight_free(flight);
	/* Where the bytes are others librados returns -4095 less the place of the first. */
	return r <= -4095 ? -ECANCELED : r;
}

int header_create(rados_ioctx_t io, const char *name, const struct collection_header *header)
{
	const char *key = KEY_PERMIT;
	const size_t key_bytes = KEY_PERMIT_BYTES;
	uint8_t bytes[COLLECTION_HEADER_BYTES];
	struct flight *flight = flight_to_write();
	int r;

	if (!flight)
		return -ENOMEM;
	collection_header_encode(header, bytes);
	rados_write_op_create(flight->write, LIBRADOS_CREATE_EXCLUSIVE, NULL);
	/* Removes nothing, but fails in a pool that keeps no omap. */
	rados_write_op_omap_rm_keys2(flight->write, &key, &key_bytes, 1);
	rados_write_op_write_full(flight->write, (const char *)bytes, sizeof(bytes));
	r = flight_fly(io, flight, name);
	flight_free(flight);
	return r;
}

int header_touch(rados_ioctx_t io, const char *name, int64_t changed_ns)
{
	const char *key = KEY_CHANGED;
	const size_t key_bytes = KEY_CHANGED_BYTES;
	const size_t value_bytes = CHANGED_BYTES;
	uint8_t bytes[CHANGED_BYTES];
	const char *value = (const char *)bytes;
	struct flight *flight = flight_to_write();
	int r;

	if (!flight)
		return -ENOMEM;
	encode_changed(changed_ns, bytes);
	rados_write_op_assert_exists(flight->write);
	rados_write_op_omap_cmp2(flight->write, key, LIBRADOS_CMPXATTR_OP_LT, value, key_bytes,
	                         value_bytes, &flight->rows_result);
	rados_write_op_omap_set2(flight->write, &key, &value, &key_bytes, &value_bytes, 1);
	r = flight_fly(io, flight, name);
	flight_free(flight);
	return r == -ECANCELED ? 0 : r;
}

int header_try(rados_ioctx_t io, const char *name)
{
	static const char value[] = "given";
	const char *key = KEY_PERMIT;
	const size_t key_bytes = KEY_PERMIT_BYTES;
	struct flight *flight = flight_to_write();
	int r;

	if (!flight)
		return -ENOMEM;
	/* The OSD looks first whether the client may, and then whether the comparison holds. */
	rados_write_op_omap_cmp2(flight->write, key, LIBRADOS_CMPXATTR_OP_EQ, value, key_bytes,
	                         sizeof(value) - 1, &flight->rows_result);
	rados_write_op_omap_rm_keys2(flight->write, &key, &key_bytes, 1);
	r = flight_fly(io, flight, name);
	flight_free(flight);
	return r == -ECANCELED || r == -ENOENT ? 0 : r;
}
