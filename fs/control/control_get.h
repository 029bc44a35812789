/*
 * control_get.h - control/get: many vectors at once.
 *
 *   question   k IDs, 8 bytes each, little-endian
 *   answer     k vectors of N bytes, zeros for what there is none of; then k bytes: GET_*
 *
 * Each is as it was at some moment after the question was whole.
 */
#ifndef CONTROL_GET_H
#define CONTROL_GET_H

#include "fs/question/exchange.h"

/* IDs of a question: so many, or as many as give an answer of so many bytes; at least one. */
#define GET_IDS_MAX 65536u
#define GET_BYTES_MAX (64u << 20)

enum get_result {
	GET_MISSING = 0,
	GET_FOUND = 1,
	GET_DAMAGED = 2, /* read as a file it is EIO */
	GET_DENIED = 3, /* it is not for who asks: EACCES */
};

extern const struct question_kind get_questions;

/* The bound above for vectors of `vector_bytes`. */
uint32_t get_ids_max(uint32_t vector_bytes);

#endif
