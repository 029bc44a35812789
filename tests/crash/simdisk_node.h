/*
 * simdisk_node.h - the files and folders of a simulated disk: what is on stable storage and
 * what has been done since.
 */
#ifndef SIMDISK_NODE_H
#define SIMDISK_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_NAME_BYTES 80 /* a snapshot's name, and what is put around it while it is made */

/* Something done to a file since its last sync. */
struct sim_change {
	uint64_t at;
	uint64_t length;
	uint8_t *data; /* owned; NULL = zeros */
	uint64_t size_before;
	uint64_t size_after;
	bool cut; /* the zeros are what lay behind a shorter size */
	bool stored; /* through a map: by the word */
	bool lost; /* of one sector, before all others: a failed sync has left it in the kernel's
	              memory only, and there it stays until the sector is written again */
};

struct sim_entry {
	char name[SIM_NAME_BYTES];
	struct sim_node *node;
};

/* Something done to a folder since its last sync. */
struct sim_naming {
	enum { SIM_ADD, SIM_REMOVE, SIM_RENAME } kind;
	struct sim_entry entry; /* RENAME: node is not used */
	char to[SIM_NAME_BYTES]; /* RENAME */
};

struct sim_names {
	struct sim_entry *items;
	size_t count;
};

struct sim_node {
	struct sim_node *next; /* all of a disk */
	unsigned number; /* its own random numbers */
	bool folder;

	/* a file */
	uint8_t *bytes; /* on stable storage */
	uint64_t size; /* there */
	uint64_t size_now;
	struct sim_change *changes;
	size_t change_count, change_room;

	/* a folder */
	struct sim_names names; /* on stable storage */
	struct sim_names names_now;
	struct sim_naming *namings;
	size_t naming_count, naming_room;
};

void *sim_alloc(size_t bytes); /* zeroed */
void *sim_grow(void *items, size_t *room, size_t count, size_t size);

/* Record; `data` is copied. */
void sim_node_write(struct sim_node *node, uint64_t at, uint64_t length, const void *data);
void sim_node_store(struct sim_node *node, uint64_t at, uint64_t length, const void *data);
void sim_node_zero(struct sim_node *node, uint64_t at, uint64_t length);
void sim_node_resize(struct sim_node *node, uint64_t size);
void sim_node_name(struct sim_node *folder, const struct sim_naming *naming);
/* All of it is on stable storage now. */
void sim_node_sync(struct sim_node *node);
/* Put what the disk has of a range into what was read of it: where a failed sync has left
 * something in the kernel's memory only, what was there before. */
void sim_node_direct(const struct sim_node *node, uint64_t at, uint64_t length, uint8_t *bytes);
/* Make `bytes` (owned by the node now) what the disk has of a file, in the size it has now, with
 * no changes since. */
void sim_node_settle(struct sim_node *node, uint8_t *bytes);
/* What a sync that fails leaves of a file. */
void sim_node_sync_failed(struct sim_node *node, uint64_t seed);
void sim_node_free(struct sim_node *node);

struct sim_node *sim_names_find(const struct sim_names *names, const char *name);
void sim_names_apply(struct sim_names *names, const struct sim_naming *naming);
void sim_names_copy(struct sim_names *to, const struct sim_names *from);

#endif
