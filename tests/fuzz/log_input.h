/*
 * log_input.h - a log segment out of an input of a fuzzer, with its checksums put right so that
 * it is read.
 */
#ifndef LOG_INPUT_H
#define LOG_INPUT_H

#include "fuzz.h"

struct log_input {
	uint32_t version; /* of the format, in the headers of segments */
	uint8_t uuid[16];
	uint64_t number;
	uint64_t salt;
	uint32_t vector_bytes;
	uint64_t lsn; /* of the record before the first */
};

/* Raw bytes behind a good header; sums and, by the first byte, more of each record put right
 * where one could be. The size, at most `room`. */
size_t log_input_raw(const struct log_input *log, struct fuzz_input *input, uint8_t *to,
                     size_t room);
/* Whole records, in sequence, with fields as the input says. */
size_t log_input_records(const struct log_input *log, struct fuzz_input *input, uint8_t *to,
                         size_t room);

/* Inputs for log_input_records, from real records. */
struct log_records {
	uint8_t *to;
	size_t room;
	size_t used;
};
/* Add those of a segment (`kept` bytes of it) whose LSN is above *lsn, which follows them. */
void log_records_add(struct log_records *records, const uint8_t *segment, uint64_t kept,
                     uint64_t *lsn);

#endif
