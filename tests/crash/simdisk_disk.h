/*
 * simdisk_disk.h - what a simulated disk is made of; simdisk*.c only.
 */
#ifndef SIMDISK_DISK_H
#define SIMDISK_DISK_H

#include "simdisk.h"
#include "simdisk_node.h"

#define SIM_FDS 1024
#define SIM_PATH_BYTES 512

/* A range of a file that is mapped to be stored in. */
struct sim_map {
	uint8_t *at; /* of the real file, so that those who read it see the stores */
	size_t length;
	uint64_t offset;
	struct sim_node *node;
};

struct simdisk {
	struct quiver_io table; /* first: the engine hands it back */
	const struct quiver_io *real;
	char root[SIM_PATH_BYTES];
	struct sim_node *root_node;
	struct sim_node *nodes; /* all there ever were */
	unsigned node_count;
	struct sim_node *by_fd[SIM_FDS]; /* NULL: not ours */
	bool direct_fd[SIM_FDS]; /* opened with O_DIRECT */
	bool no_direct; /* there is no such thing */
	bool use_maps;
	bool is_tight;
	struct sim_map *maps;
	size_t map_count, map_room;
	struct sim_node *last_written; /* by the last event, if that was a write */
	void (*hook)(void *arg);
	void *hook_arg;
	bool fail_log;
	bool log_failed;
	uint64_t fail_after;
	unsigned syncs_until_failure; /* 0 = none fails */
	uint64_t failure_seed;
	char failed_sync[SIM_NAME_BYTES]; /* empty: none has */
};

#endif
