/*
 * wal_payload.h - the payloads of records that a scan has kept without them (wal_kept.h). For one
 * thread.
 */
#ifndef QUIVER_WAL_PAYLOAD_H
#define QUIVER_WAL_PAYLOAD_H

#include "engine/log/wal_read.h"
#include "engine/log/wal_source.h"

/* All zero: nothing is open. Not for more than one scan. */
struct wal_payloads {
	struct wal_source source;
	bool open;
};

/* The payload of the PUT that wal_scan_again is just handing over, read again and compared with its
 * sum: *payload, until the next call. In the order of the log it is read in large pieces. 0, -ENOMEM,
 * -EIO it is not what it was, -errno of reading. */
int wal_payload(struct wal_payloads *payloads, const struct wal_scan *scan,
                const struct wal_record *record, const void **payload);
/* Close and free what it has. 0 or -errno of closing. */
int wal_payloads_end(struct wal_payloads *payloads);

#endif
