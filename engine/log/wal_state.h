/*
 * wal_state.h - what is known of a log while it is open, and its locks.
 */
#ifndef QUIVER_WAL_STATE_H
#define QUIVER_WAL_STATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/base/health.h"
#include "engine/disk/io.h"
#include "engine/disk/map_store.h"

/* A checkpoint cuts the log long before: this bounds the arrays, some of them on stacks. */
#define WAL_SEGMENTS_MAX 512

struct wal_segment {
	int fd;
	uint64_t number;
	uint64_t salt;
	uint64_t size_bytes;
	struct map_store map; /* all of the file, to append through, where that can be */
	uint64_t mapped_from; /* offset of what was stored there since the last sync; 0: nothing */
	uint64_t end; /* offset of the next record */
	uint64_t last_lsn; /* of its last record, 0 where it has none */
	bool dirty; /* holds records not synced yet */
};

struct wal {
	const struct quiver_io *io;
	struct health *health; /* the store's; what follows where a write or sync fails */
	int wal_fd; /* the folder wal/; owned */
	int durable_fd; /* the file durable; owned */
	struct map_store durable; /* sync_lock; the same, to store notes in, where that can be */
	unsigned next_note; /* sync_lock */
	uint8_t uuid[16];

	pthread_mutex_t prepare_lock; /* held while a segment is made; before sync_lock */
	pthread_mutex_t sync_lock; /* held through a sync; taken before `lock` */
	pthread_mutex_t lock;
	/* Oldest first; the last is the one appended to. lock; appending also holds the
	 * writer lock of the store. */
	struct wal_segment segments[WAL_SEGMENTS_MAX];
	size_t count; /* lock */
	uint64_t cut_lsn; /* lock; records up to it are not needed any more */
	uint64_t appended_lsn; /* lock; of the last record with the kernel */
	bool slots_dirty; /* lock; a PUTSLOT names bytes that are not synced yet */
	/* Syncs the slots that PUTSLOT records name; set by wal_set_slots. */
	int (*sync_slots)(void *arg);
	void *sync_slots_arg;
	uint32_t vector_bytes; /* in such a slot */
	struct wal_segment ready; /* lock; the next one, made ahead; fd -1 = none */
	struct wal_segment spare; /* lock; an old one to be recycled; fd -1 = none */
	uint64_t next_number; /* prepare_lock */
	uint64_t next_bytes; /* prepare_lock */
	uint64_t last_lsn; /* writer lock; of the last record appended */
	int sync_error; /* sync_lock; of the first sync that failed, negative */
	_Atomic uint64_t durable_lsn;
	_Atomic uint64_t syncs;
	_Atomic uint64_t sync_ns; /* what the last one took; written under sync_lock */
	_Atomic uint64_t room_bytes; /* left in the active segment */
	_Atomic uint64_t appended_bytes; /* since open, with the slots that PUTSLOT names */
};

#endif
