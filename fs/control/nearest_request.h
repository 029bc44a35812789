/*
 * nearest_request.h - the question in what was written to control/nearest. Pure functions.
 *
 * All of it is little-endian:
 *    0  8  "QUIVERNQ"
 *    8  4  1, the version
 *   12  4  k: neighbours of each question, at most
 *   16  4  metric: 0 l2, 1 cosine, 2 ip, 3 hamming, -1 that of the store
 *   20  4  flags: 1 compare all, whether there is an index or not; 2 `within` is meant
 *   24  8  within, float64: none that is farther (of ip: a product that is smaller)
 *   32  8  Q: how many questions
 *   40  8  F: how many IDs to search among; 0: all
 *   48  8  E: how many IDs to leave out; 0, or Q: one for each question, 2^64-1 none
 *   56  8  0
 *   64     F IDs, E IDs (8 bytes each), Q vectors (N bytes each)
 */
#ifndef NEAREST_REQUEST_H
#define NEAREST_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#include "engine/quiver.h"

#define NEAREST_MARK "QUIVERNQ"
#define NEAREST_VERSION 1u
#define NEAREST_HEAD_BYTES 64u
/* Most that one is: the questions that the store takes, and so many bytes of IDs. */
#define NEAREST_IDS_BYTES_MAX (64u << 20)
#define NEAREST_REQUEST_BYTES_MAX \
	(NEAREST_HEAD_BYTES + QUIVER_QUESTION_BYTES_MAX + NEAREST_IDS_BYTES_MAX)

/*
 * Read it. `bytes` are aligned to 8, and *question points into them. -EINVAL they are no such question:
 * error says why. What is asked is not looked at.
 */
int nearest_request(const char *bytes, size_t size, uint32_t vector_bytes,
                    struct quiver_question *question, struct quiver_error *error);

#endif
